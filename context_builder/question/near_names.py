"""Finds words that look like names of the gateway's entities but match none. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher, get_close_matches
from itertools import islice

from context_builder.question.names import ORDINARY_WORDS, words_of
from context_builder.question.request import UnknownName

MAX_UNKNOWN_NAMES = 10
"""Per text."""

_ID = re.compile(r"(?:user|inc|req|incident|request)(?:_\w[\w-]*|-\w*\d[\w-]*)", re.IGNORECASE)
_COLUMN = re.compile(
    r"\w+_(?:ids?|agents?|counts?|names?|types?|rates?|times?|tiers?|levels?|ms|usd)", re.IGNORECASE
)
_FAMILY = re.compile(
    r"(?:gpt|claude|opus|sonnet|haiku|llama|mistral|mixtral|gemini|gemma|qwen|deepseek|phi|command|titan|nova"
    r"|grok)(?:[-_.]?\d|\S*/)",
    re.IGNORECASE,
)
"""Common model families."""
_NOT_A_NAME = re.compile(r"v?\d[\w.:+-]*|p\d+\S*|[1-5]xx\S*|https?/\d\S*|\S*://\S*", re.IGNORECASE)
"""Versions, numbers with units, percentiles, classes of status codes, addresses."""
_MIN_SIMILARITY = 0.6
_MIN_CLOSE_SIMILARITY = 0.75


def unknown_names(
    text: str, understood: Iterable[str], known: Iterable[str], ids: Iterable[str] = ()
) -> tuple[UnknownName, ...]:
    """Return words that look like entities but match none, each with similar known names or `ids`.

    A word qualifies if it has the form of an id, belongs to a common model family, shares a part with a
    known `model/backend`, or closely resembles a known name.
    """
    understood_words = {word.casefold() for word in understood}
    names, all_ids = _by_casefolded(known), _by_casefolded(ids)
    candidates = (
        word
        for word in dict.fromkeys(words_of(text))
        if word.casefold() not in understood_words | names.keys() | all_ids.keys()
        and _is_candidate(word, names)
    )
    unknown = []
    for word in islice(candidates, MAX_UNKNOWN_NAMES):
        near = _near_matches(word, names | all_ids if looks_like_id(word) else names)
        if looks_like_id(word) or _FAMILY.match(word) or "/" in word or _is_close(word, near):
            unknown.append(UnknownName(word, near))
    return tuple(unknown)


def looks_like_id(word: str) -> bool:
    """Return whether a word has the form of a public id of a user, incident or request."""
    return _ID.fullmatch(word) is not None and _COLUMN.fullmatch(word) is None


def _by_casefolded(names: Iterable[str]) -> dict[str, str]:
    return {name.casefold(): name for name in names}


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
    return any(character.isdigit() for character in word)


def _near_matches(word: str, names: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(
        names[match] for match in get_close_matches(word.casefold(), names, n=3, cutoff=_MIN_SIMILARITY)
    )


def _is_close(word: str, near: tuple[str, ...]) -> bool:
    return (
        bool(near)
        and SequenceMatcher(None, word.casefold(), near[0].casefold()).ratio() >= _MIN_CLOSE_SIMILARITY
    )
