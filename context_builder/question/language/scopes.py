"""The phrases of tier, exclusion and comparison."""

from __future__ import annotations

from context_builder.question.language.atom import Kind
from context_builder.question.language.roles import phrase

_COMPARATIVES = {
    "slow": "slower", "fast": "faster", "expensive": "more expensive", "cheap": "cheaper", "high": "higher",
    "low": "lower", "good": "better", "bad": "worse", "many": "more", "few": "less", "healthy": "healthier",
}  # fmt: skip
"""Of the English adjectives in lexicons."""


def _comparative(more: str, adjective: str) -> str | None:
    return _COMPARATIVES.get(adjective) if more == "more" else f"{more} {adjective}"


def _ranking(which: str, adjective: str) -> str | None:
    """Return a comparative for a plain adjective, as Japanese compares two."""
    return f"{which} is {_COMPARATIVES[adjective]}" if adjective in _COMPARATIVES else None


def _except_from(less: str) -> str | None:
    return "except" if less == "less" else None


def _compared_with_last(this: str, last: str) -> str | None:
    """Return a period and the one before it, which the question names by `last` alone."""
    word, _, unit = this.partition(" ")
    return f"compare {this} to {last} {unit}" if word == "this" else None


_BETWEEN_QUESTION = "[comma particle link punctuation]{0,3}"
EXCLUSIONS = (
    phrase(
        "except article? ([weekday day period]) [link except_after]{1,2} ([period month])",
        Kind.MOMENT,
        "{2} except {1}",
    ),
    phrase(
        "([month period]) comma ([weekday day period]) particle? link? except_after",
        Kind.MOMENT,
        "{1} except {2}",
    ),
    phrase("([weekday day period]) link? except_after link? ([period month])", Kind.MOMENT, "{2} except {1}"),
)
"""What is left out of a period, before the rest of its words join it."""
_TIERS = (
    phrase("(tier) dash? (and) (tier) [dash link]? (tier_noun)", Kind.TIER_USERS, "{1} {2} {3} {4}"),
    phrase("(tier) [dash link]? (tier_noun)", Kind.TIER_USERS, "{1} {2}"),
    phrase("(tier_noun) (tier) (and) (tier)", Kind.TIER_USERS, "{2} {3} {4} {1}"),
    phrase("(tier_noun) (?:of article?)? not dash? (tier)", Kind.TIER_USERS, "non-{2} {1}"),
    phrase("(tier_noun) (?:of article?)? (tier)", Kind.TIER_USERS, "{2} {1}"),
    phrase("not dash? ([tier tier_users])", Kind.TIER_USERS, "non-{1}"),
)
_NEGATIONS = (
    phrase(
        "not_ahead ([unknown word adjective]{1,3}) not"
        "(?!dash? [article of]? [tier tier_users tier_noun name])",
        Kind.WORD,
        "not {1}",
    ),
    phrase("(unknown) not (?=at?article?time)", Kind.WORD, "not {1}"),
)
"""A negated verb leaves nothing out: its `not` comes before it, not before the time that may follow."""
_EXCEPT = (
    phrase("[neither nor] (nouns) nor", Kind.WORD, "neither {1} nor"),
    phrase("(except) (nouns) nor", Kind.WORD, "{1} {2} nor"),
    phrase("except (nouns) link? except_after", Kind.WORD, "except {1}"),
    phrase("(nouns) link? except_after", Kind.WORD, "except {1}"),
    phrase("(?<=time|[name tier_users tier_noun comma])(less)(?=article?side)", Kind.WORD, _except_from),
)
_COMPARISONS = (
    phrase("([more less]) of (?=amount)", Kind.MORE, "{1} than"),
    phrase("([more less]) (adjective)", Kind.MORE, _comparative),
    phrase("(which (?:[link particle]{0,2} word)?) [link particle]{0,2} (adjective)", Kind.RANKING, _ranking),
    phrase("(which [article word link particle unknown]{0,3} more)", Kind.RANKING, "{1}"),
    phrase(f"(side) [and or] (side) {_BETWEEN_QUESTION} (ranking)", Kind.WORD, "{1} or {2}: {3}"),
    phrase(f"(ranking) {_BETWEEN_QUESTION} (side) [and or] (side)", Kind.WORD, "{1}, {2} or {3}"),
    phrase("(side) or (side) [comma particle]? (more)", Kind.WORD, "{1} or {2}: which {3}"),
    phrase("(side) particle (side) [and with] particle? compare", Kind.WORD, "compare {1} to {2}"),
    phrase("(noun) and (noun) particle? compare", Kind.WORD, "compare {1} to {2}"),
    phrase("(side) and (side) link? (word) particle? compare", Kind.WORD, "compare {1} to {2} {3}"),
    phrase("compare article? (period) [with to] article? (last)", Kind.WORD, _compared_with_last),
    phrase("compare article? (noun) [and with] article? (noun)", Kind.WORD, "compare {1} to {2}"),
    phrase(
        "(compare) [article to]? ([^compare with dot comma punctuation]{1,9}) with [article to]?",
        Kind.WORD,
        "{1} {2} to",
    ),
    phrase("(tier) [against compared] (?=tier)", Kind.WORD, "{1} vs"),
    phrase("(tier) and (tier) compared(?!side)", Kind.WORD, "{1} vs {2}"),
    phrase("(tier) particle? (tier) link? compared_after", Kind.WORD, "{1} vs {2}"),
    phrase("(times) link? compared_after (times)", Kind.WORD, "{2} compared to {1}"),
    phrase("(side) compare (?=side)", Kind.WORD, "{1} vs"),
    phrase("(?<!time|[name tier tier_users])and (times) compared (times)", Kind.WORD, "{2} compared to {1}"),
    phrase("and (noun) compared(?!side)", Kind.WORD, "compared to {1}"),
    phrase("[and with]? (noun) link? compared_after", Kind.WORD, "compared to {1}"),
    phrase(
        "([more less] (?:[word unknown of article tier_users adjective]{0,3})) than", Kind.WORD, "{1} than"
    ),
)
SCOPES = (*_TIERS, *_NEGATIONS, *_EXCEPT, *_COMPARISONS)
