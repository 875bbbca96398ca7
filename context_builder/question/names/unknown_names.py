"""Finds words that look like names of the gateway's entities but match none."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import SequenceMatcher, get_close_matches
from functools import partial
from itertools import islice

from context_builder.question.lookups import Lookups
from context_builder.question.mention import TextSpan
from context_builder.question.names.catalog import DeploymentName
from context_builder.question.names.known_names import sample_incidents, sample_users
from context_builder.question.names.model_parts import FAMILY_WORDS
from context_builder.question.names.row_names import QUOTED
from context_builder.question.names.words import ORDINARY_WORDS, Word, characters, word_set, words_in
from context_builder.question.request import UnknownName
from models import Tier

MAX_UNKNOWN_NAMES = 10
"""Per text."""
_MAX_NEAR = 3
_MIN_CHARACTERS = 3
"""Of a word that a noun announces as a name."""

_ID = re.compile(r"(?:user|inc|req|incident|request)(?:_\w[\w-]*|-\w*\d[\w-]*)|inc#?\d+", re.IGNORECASE)
_COLUMN = re.compile(
    r"\w+_(?:ids?|agents?|counts?|names?|types?|rates?|times?|tiers?|levels?|ms|usd)", re.IGNORECASE
)
_FAMILY = re.compile(
    r"(?:\S*/)?(?:gpt|claude|opus|sonnet|haiku|llama|mistral|mixtral|gemini|gemma|qwen|deepseek|phi|command|titan"
    r"|nova|grok)(?:[-_.]?\d|\S*/)|\S*[a-z]\S*[-_]\d+(?:x\d+)?b\b",
    re.IGNORECASE,
)
"""Common model families, and any name with a size in parameters."""
_NOT_A_NAME = re.compile(r"v?\d[\w.:+-]*|p\d+\S*|[1-5]xx\S*|https?/\d\S*|\S*://\S*", re.IGNORECASE)
"""Versions, numbers with units, percentiles, classes of status codes, addresses."""
_MIN_SIMILARITY = 0.6
_MIN_CLOSE_SIMILARITY = 0.75

_NOUNS = frozenset(
    {"backend", "customer", "deployment", "model", "region", "site", "team", "tenant", "tier", "user"}
)
"""The word after one of these is a name if it is no ordinary one: `tier gold`."""
_USER_NOUNS = frozenset({"customer", "team", "tenant", "user"})
_GENERAL = word_set(
    """
    a an any another by each every her his its my no one other our per same some that the their
    these this those what which whose your
    """
)
"""Before a noun: what follows is a name only if it is not written as an ordinary word."""
_AFTER_NOUN = word_set(
    """
    account accounts activity pairs support login logins adoption agent
    agents alert alerts availability bases behavior
    behaviour bill billing budgets cache call calls capacity card changes churn cluster clusters
    complaint complaints concurrency config costs count counts crash crashes demand drift drop drops
    dropped experience facing failover failure failures families family feedback fleet group groups
    growth health hours ids impact issue issues key keys lag latencies lead level levels limit
    limits list lists logs mapping member members mix name names outage outages outlier outliers
    output outputs p50 p95 p99 performance pool prices pricing problem problems prompt prompts quota
    quotas rates registry replica replicas response responses retries routing score scores segment
    segments sentiment serving session sessions share sharing slowdown slowest spend spending spent
    spike spikes split status switch throughput timeout timeouts token tokens trend trends type
    types uptime usage upgrade upgrades volume weights wise also always became becomes best broke
    came come comes doing end ends fails fell felt gave get gets getting gives go goes got happens
    hit hits kept last lost made make makes need needs never often ran really rose run runs saw say
    says see seem seems sees send sends sent show shows still take takes think took went work works
    ago cheapest currently fastest highest just later lowest now right slower tonight
    tomorrow
    """
)
_ENDINGS = re.compile(r".{2,}(?:[ae]nc[ey]|ed|face|ing|ions?|ity|ly|ments?|ness|port|ory|try|ship|son)")
"""Of words that make a compound with a noun: `user satisfaction`."""
_USUAL_TIERS = word_set("basic bronze business enterprise free gold platinum pro silver starter trial vip")
"""Names of tiers elsewhere."""
_TIER_NOUNS = frozenset({"customers", "plan", "tier", "tiers", "users"})


@dataclass(frozen=True, slots=True)
class UnknownMention:
    """An unknown name with its place in the text."""

    span: TextSpan
    unknown: UnknownName


async def unknown_names(
    text: str,
    as_of: datetime,
    lookups: Lookups,
    *,
    known: Sequence[DeploymentName],
    taken: Sequence[TextSpan],
    unmatched: Sequence[TextSpan],
) -> tuple[UnknownMention, ...]:
    """Return what looks like a name but is none, with similar known ones.

    Args:
        text: The question.
        as_of: Later names are not suggested.
        lookups: Reads ids to compare with.
        known: The deployments.
        taken: Places of names that were understood.
        unmatched: Places known to be unknown names.
    """
    names = [name for d in known for name in (d.public_id, d.model, d.backend, d.region) if name]
    unknown = find_unknown(text, taken, unmatched, names)
    if not any(_may_be_row(text, found) for found in unknown):
        return unknown
    users = await lookups.once(("user ids", as_of), partial(sample_users, as_of=as_of))
    incidents = await lookups.once(("incident ids", as_of), partial(sample_incidents, as_of=as_of))
    ids = [*users, *incidents]
    # Thousands of comparisons, off the event loop.
    return await asyncio.to_thread(find_unknown, text, taken, unmatched, names, ids)


def find_unknown(
    text: str,
    taken: Sequence[TextSpan],
    unmatched: Sequence[TextSpan],
    known: Iterable[str],
    ids: Iterable[str] = (),
) -> tuple[UnknownMention, ...]:
    """Return words that look like entities but match none, each with similar known names or `ids`. Pure.

    Besides the `unmatched` a word qualifies if it has the form of an id, belongs to a common model family,
    shares a part with a known `model/backend`, closely resembles a known name, or follows a noun like `user`.
    """
    names, all_ids = _by_casefolded(known), _by_casefolded(ids)
    used = characters(taken)
    free = [span for span in unmatched if used.isdisjoint(characters([span]))]
    used |= characters(free)
    candidates = {text[span.start : span.end]: (span, "") for span in free}
    for word, noun in _with_nouns(text):
        is_known = word.folded in names or word.folded in all_ids
        if used.isdisjoint(characters([word.span])) and (
            noun or (not is_known and _is_candidate(word.text, names))
        ):
            candidates.setdefault(word.text, (word.span, noun))
    unknown = []
    for name, (span, noun) in islice(sorted(candidates.items(), key=lambda item: item[1]), MAX_UNKNOWN_NAMES):
        is_id = looks_like_id(name)
        if noun == "tier":
            near = _near(name, _by_casefolded(Tier))
        elif is_id or noun in _USER_NOUNS:
            near = _near(name if is_id else f"user_{name}", names | all_ids)
        else:
            near = _near(name, names)
        is_name = span in free or noun or is_id or _FAMILY.match(name) or "/" in name
        if is_name or _is_close(name, near):
            unknown.append(UnknownMention(span, UnknownName(name, near)))
    return tuple(unknown)


def looks_like_id(word: str) -> bool:
    """Return whether a word has the form of a public id of a user, incident or request."""
    return _ID.fullmatch(word) is not None and _COLUMN.fullmatch(word) is None


def _may_be_row(text: str, found: UnknownMention) -> bool:
    before = text[: found.span.start].split()[-1:]
    return looks_like_id(found.unknown.name) or bool(before and before[0].casefold() in _NOUNS)


def _with_nouns(text: str) -> Iterator[tuple[Word, str]]:
    """Yield the words of a text, each with the noun that announces it as a name, if one does."""
    words = tuple(words_in(text))
    for match in QUOTED.finditer(text):
        before = text[: match.start()].split()[-1:]
        if before and before[0].casefold() in _NOUNS:
            group = match.lastindex or 0
            yield Word(match[group], TextSpan(*match.span(group))), before[0].casefold()
    for n, word in enumerate(words):
        noun = words[n - 1].folded if n else ""
        following = words[n + 1].folded if n + 1 < len(words) else ""
        if word.folded in _USUAL_TIERS and following in _TIER_NOUNS:
            yield word, "tier"
            continue
        is_after = noun in _NOUNS and re.fullmatch(
            r"[\s:=\"'“‘`]{1,3}", text[words[n - 1].span.end : word.span.start]
        )
        if noun in ("incident", "inc") and word.text.isdecimal() and following != "incidents":
            yield word, noun
            continue
        is_general = any(near.folded in _GENERAL for near in words[max(0, n - 3) : max(0, n - 1)])
        yield word, noun if is_after and _is_name_after(word, noun, is_general=is_general) else ""


def _is_name_after(word: Word, noun: str, *, is_general: bool) -> bool:
    folded = word.folded
    if (
        folded in ORDINARY_WORDS
        or folded in _AFTER_NOUN
        or _NOT_A_NAME.fullmatch(folded)
        or ("_" in folded and not folded[-1].isdecimal())
        or len(folded) < _MIN_CHARACTERS
    ):
        return False
    is_plain = folded.isalpha() and word.text == folded
    is_compound = _ENDINGS.fullmatch(folded) or (
        folded.endswith("s") and noun not in ("region", "site", "tier")
    )
    return not (is_plain and (is_general or is_compound))


def _by_casefolded(names: Iterable[str]) -> dict[str, str]:
    return {str(name).casefold(): str(name) for name in names}


def _is_candidate(word: str, names: Mapping[str, str]) -> bool:
    if looks_like_id(word):
        return True
    if _NOT_A_NAME.fullmatch(word) or not any(character.isalpha() for character in word):
        return False
    if "/" in word:
        parts = {part.casefold() for part in word.split("/")}
        return (not parts.isdisjoint(names) or _FAMILY.match(word) is not None) and parts.isdisjoint(
            ORDINARY_WORDS
        )
    head = re.split(r"[-_.]", word.casefold())[0]
    return any(character.isdigit() for character in word) or (
        head in FAMILY_WORDS and head != word.casefold()
    )


def _near(word: str, names: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names that resemble a word, then those that share words of a model's name with it."""
    close = get_close_matches(word.casefold(), names, n=_MAX_NEAR, cutoff=_MIN_SIMILARITY)
    pieces = {*re.findall(r"[^\W\d_]{3,}", word.casefold())} - ORDINARY_WORDS
    shared = {name: sum(piece in name for piece in pieces) for name in names}
    kin = sorted((name for name in names if shared[name]), key=lambda name: (-shared[name], name))
    return tuple(names[name] for name in dict.fromkeys([*close, *kin[:_MAX_NEAR]]))[:_MAX_NEAR]


def _is_close(word: str, near: tuple[str, ...]) -> bool:
    return (
        bool(near)
        and SequenceMatcher(None, word.casefold(), near[0].casefold()).ratio() >= _MIN_CLOSE_SIMILARITY
    )
