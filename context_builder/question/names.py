"""Finds words, tiers and public ids in free text, and normalizes the spelling of names. Pure."""

from __future__ import annotations

import re
import unicodedata

from models import Tier

_WORD = re.compile(r"[^\W_][\w.:/@+#-]*")
_ALIASES = {
    "kubernetes": "k8s", "amazon": "aws", "google": "gcp", "microsoft": "azure", "premises": "prem",
}  # fmt: skip

ORDINARY_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        a all an and any are as at be but by can cost did do does down each else fail fast few for
        from good had has have he high how i if in is it its last least less load long low main many
        may me more most much my new next no normal not now of off ok old on one only or other our
        out over own rate same see she slow so some such than that the their them then there these
        they this to today top two under unknown up us use very want was we week were what when
        where which while who why will with worst yet you your
        api audio backend base batch chat cloud code command data default deployment dev embed error
        experimental gateway general health image incident internal large latency local medium mini
        model none prod provider public quality request requests router server service small stable
        staging standby tenant test text tier traffic user users version vision web
        """,
    )
) | frozenset(Tier)
"""Words that are taken literally, even if something has such a name."""

_TIER = "|".join(Tier)
_TIER_NOUN = r"(?:users?|customers?|clients?|accounts?|tiers?|traffic|requests?|people|plans?)"
_AND = r"(?:,|/|\b(?:and|or|vs|versus|with|to)\b\.?)"
_TIER_LIST = re.compile(
    rf"(?<![\w-])(?:{_TIER})\b(?:(?:\s*{_AND})+\s*(?:{_TIER})\b(?![\w-]))+", re.IGNORECASE
)
_OTHER_BUDGETS = ("over", "under", "daily", "weekly", "monthly", "token", "error", "'s", "’s", "their")
_NOT_A_TIER = "".join(rf"(?<!{word}\s)" for word in _OTHER_BUDGETS)
_TIER_PHRASE = re.compile(
    rf"(?<![\w-]){_NOT_A_TIER}({_TIER})[\s-]+{_TIER_NOUN}\b|\btiers?\W{{1,3}}({_TIER})\b|\b(premium)\b",
    re.IGNORECASE,
)

_ID_NOUNS = frozenset({"incident", "request", "user", "id", "number"})
"""A bare number is an id only after one of these."""


def words_of(text: str) -> list[str]:
    """Return the words of a text, with punctuation inside names but not at their end."""
    return [word for word in (match.group().rstrip(".:/@+#-") for match in _WORD.finditer(text)) if word]


def normalize_name(name: str) -> str:
    """Return a name without case, punctuation and aliases: `GPT 4` and `gpt-4` are equal."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(_ALIASES.get(piece, piece) for piece in re.split(r"[\W_]+", folded))


def find_tiers(text: str) -> tuple[str, ...]:
    """Return the tiers that a text names; `budget` and `standard` only where they can be a tier."""
    phrases = [*_TIER_LIST.finditer(text), *_TIER_PHRASE.finditer(text)]
    named = {word.casefold() for phrase in phrases for word in words_of(phrase.group().replace("/", " "))}
    return tuple(tier for tier in Tier if any(tier in word.split("-") for word in named))


def candidate_ids(text: str) -> frozenset[str]:
    """Return the words, as written, that could be the public id of a user, incident or request."""
    words = words_of(text)
    return frozenset(
        word
        for before, word in zip(["", *words], words, strict=False)
        if (len(word) > 1 or before.casefold() in _ID_NOUNS)
        and word.casefold() not in ORDINARY_WORDS
        and (before.casefold() in _ID_NOUNS or not _is_number(word))
    )


def _is_number(word: str) -> bool:
    return not any(character.isalpha() for character in word)
