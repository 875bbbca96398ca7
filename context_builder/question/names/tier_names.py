"""Finds tiers in a text; `budget` and `standard` are also ordinary words. Pure."""

from __future__ import annotations

import re

from context_builder.question.mention import NameKind, NameMention, TextSpan
from models import Tier

_TIER = "|".join(Tier)
_NEGATION = r"(?:non[\s-]|not-)"
_WORD = re.compile(rf"(?<![\w-]){_NEGATION}?({_TIER})(?!\w)", re.IGNORECASE)
_PEOPLE = r"(?:users?|customers?|clients?|accounts?|tiers?|people|plans?|ones)"
_LINK = re.compile(
    r"(?:\s*(?:[,/+&]|\b(?:and|or|nor|vs|versus|with|to|plus|also|as well as)\b\.?))+\s*", re.IGNORECASE
)
"""Between two tiers of a list."""
_BEFORE_TIER = re.compile(
    r"\btiers?\W{1,3}$|\b(?:except|exclud\w+|other than|(?:all|any\w*|every\w*|users) but)\s+(?:the\s+)?$",
    re.IGNORECASE,
)
_PEOPLE_AFTER = re.compile(rf"[\s-]{_PEOPLE}\b", re.IGNORECASE)
_AFTER_TIER = re.compile(rf"[\s-]+(?:{_PEOPLE}|traffic|requests?)\b|-only\b", re.IGNORECASE)
_OTHER_BUDGET = re.compile(
    r"(?:\b(?:over|under|daily|weekly|monthly|token|error|their)|['’]s)[\s-]$", re.IGNORECASE
)
_BEFORE_COMPARED = re.compile(
    r"(?:\b(?:is|are|does|do|did|was|were|than|vs\.?|versus|against|or|for|of)\s|^)(?:the\s)?$", re.IGNORECASE
)
_MONEY_BEFORE = re.compile(r"\b(?:bill|costs?|spen[dt]\w*|usage)\s+[a-z]+\.?\s$", re.IGNORECASE)
"""What is compared with a budget."""
_NO_TIER_AFTER = re.compile(
    r"\s(?:alert|cap|deviation|error|exhaust|format|left|librar|limit|model|output|overrun|overspen|practice"
    r"|procedure|remain|spen|used)",
    re.IGNORECASE,
)
_CONTEXT = 24
"""Characters before a word that tell whether it is a tier."""


def find_tier_names(text: str) -> tuple[NameMention, ...]:
    """Return a mention for each tier in the text, in text order."""
    words = list(_WORD.finditer(text))
    sure = {n for n, word in enumerate(words) if _is_sure(text, word)}
    for n in range(1, len(words)):
        if _LINK.fullmatch(text, words[n - 1].end(), words[n].start()):
            sure |= {n - 1, n}
    if any(not _is_negated(words[n]) for n in sure):
        sure |= {n for n, word in enumerate(words) if _is_compared(text, word)}
    return tuple(
        NameMention(
            spans=(TextSpan(words[n].start(), words[n].end()),),
            kind=NameKind.TIER,
            names=(words[n][1].lower(),),
            is_negated=_is_negated(words[n]),
        )
        for n in sorted(sure)
    )


def _is_negated(word: re.Match[str]) -> bool:
    return word.start(1) > word.start()


def _is_sure(text: str, word: re.Match[str]) -> bool:
    before, tier = text[max(0, word.start() - _CONTEXT) : word.start()], word[1].lower()
    if tier == Tier.PREMIUM:
        return True
    if _is_negated(word):
        # `non-standard traffic` is any unusual traffic.
        return tier != Tier.STANDARD or _PEOPLE_AFTER.match(text, word.end()) is not None
    if _OTHER_BUDGET.search(before):
        return False
    return bool(
        _AFTER_TIER.match(text, word.end())
        or (_BEFORE_TIER.search(before) and not _NO_TIER_AFTER.match(text, word.end()))
        or (text[word.end() : word.end() + 1] == ":" and not before.strip())
    )


def _is_compared(text: str, word: re.Match[str]) -> bool:
    """Return whether a word beside a sure tier is one too: "is standard slower than premium?"."""
    before = text[max(0, word.start() - _CONTEXT) : word.start()]
    is_compared = _BEFORE_COMPARED.search(before) and not _MONEY_BEFORE.search(before)
    return bool(is_compared) and not _NO_TIER_AFTER.match(text, word.end())
