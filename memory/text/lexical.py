"""Lexical similarity of texts to a query: covers what an embedding blurs, such as error codes and names."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

_WORD = re.compile(r"[^\W_]+")

_QUERY_WORDS = 60
"""A query states its subject at the beginning; more words measurably dilute it."""
_QUERY_IDENTIFIERS = 20
_TEXT_WORDS = 600
"""Bounds the work on one text."""
_MAX_CHARACTERS = 12 * _TEXT_WORDS
_REMEMBERED_TEXTS = 2_048
"""Questions about one system find the same incidents. A usual entry takes 8 KB, the longest 80 KB."""

_SATURATION = 1.2
"""BM25's k1: how soon more occurrences of a word stop counting."""
_LENGTH_PENALTY = 0.75
"""BM25's b: how strongly long texts are penalized."""
_PRIOR = 15.0
"""Rarity, in nats, counted as unexplained for any query: three matching words of a short question are weaker
evidence than thirty of an incident."""

_PSEUDO_TEXTS = 30
"""Assumed further texts without any of the words: in a memory of three incidents, a word that one of them
contains is not common."""

_IDENTIFIER = re.compile(r"\b(?=[\w.-]*\d)(?=[\w.-]*[^\W\d_])[\w.-]{5,64}\b|\b\w{1,32}_\w{1,32}\b")
"""`user_3fa2c1`, `1f0c22e4`, `v3.14.2`, `edge-07`, `rate_limit_exceeded`: names that are no coincidence."""

_FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a about after again all an and any are as at be because been before both but by can could did do "
        "does during each ever few for from further had has have having he her here his how i if in into "
        "is it its just know last me more most my no nor not now of off on once only or other our out "
        "over own past same seen she should show so some such than that the their them then there these "
        "they this those through to too under until up us very was we were what when where which while "
        "who whom why will with would you your",
    )
)
"""Carry grammar, not the subject of a question."""


@dataclass(frozen=True, slots=True)
class Wording:
    """The parts of a query that are searched for in other texts."""

    words: tuple[str, ...]
    """Unique, case-folded, in order of appearance."""
    identifiers: tuple[str, ...]
    """Likewise; the words of an identifier are also among `words`."""


def words(text: str, limit: int = _TEXT_WORDS) -> list[str]:
    """Return the first words of a text, case-folded."""
    return _WORD.findall(text[:_MAX_CHARACTERS].casefold())[:limit]


def wording(query: str, target: str | None = None) -> Wording:
    """Return the content words and identifiers of a query, without those of its target.

    Other incidents of the same target need not be similar; the target is a feature of its own.
    """
    target_words = set(words(target or ""))
    unique = list(dict.fromkeys(words(query)))
    content = [word for word in unique if word not in _FUNCTION_WORDS and word not in target_words]
    folded_target = (target or "").casefold()
    found = [one for one in identifiers(query) if one not in folded_target]
    return Wording(tuple((content or unique)[:_QUERY_WORDS]), tuple(found[:_QUERY_IDENTIFIERS]))


def identifiers(text: str) -> list[str]:
    """Return the identifiers in a text: unique, case-folded, in order of appearance."""
    return list(dict.fromkeys(_IDENTIFIER.findall(text[:_MAX_CHARACTERS].casefold())))


def lexical_scores(query: str, texts: Sequence[str]) -> list[float]:
    """Return for each text the share of the query's words that it explains, from 0 to below 1.

    This is BM25 divided by the maximum score of the query, with word rarity taken from the texts themselves.
    """
    wanted = set(words(query, _QUERY_WORDS))
    read = [_read(text[:_MAX_CHARACTERS]) for text in texts]
    found, rarity = _found(wanted, read)
    maximum = sum(rarity.values())
    return [score / maximum if maximum else 0.0 for score in _scores(rarity, found, read)]


def wording_scores(wanted: Wording, texts: Sequence[str]) -> list[float]:
    """Return for each text the share of the wording that it explains, from 0 to below 1.

    As `lexical_scores`, with identifiers counted once more as a whole: among incidents that are close
    already, the distinguishing words count.
    """
    read = [_read(text[:_MAX_CHARACTERS]) for text in texts]
    found, rarity = _found(wanted.words, read, pseudo_texts=_PSEUDO_TEXTS)
    containing = {one: _containing(one, read) for one in wanted.identifiers}
    weights = {one: _rarity(sum(held), len(texts) + _PSEUDO_TEXTS) for one, held in containing.items()}
    maximum = _PRIOR + sum(rarity.values()) + sum(weights.values())
    identified = [
        sum(weight for one, weight in weights.items() if containing[one][at]) for at in range(len(texts))
    ]
    # The prior does not apply to identifiers, which hardly match by coincidence.
    return [
        score / maximum + whole / (maximum - _PRIOR) if whole else score / maximum
        for score, whole in zip(_scores(rarity, found, read), identified, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Text:
    """The beginning of a text, as it is compared with any query."""

    folded: str
    counts: Mapping[str, int]
    total: int
    """Words, repeated ones included."""


@lru_cache(maxsize=_REMEMBERED_TEXTS)
def _read(beginning: str) -> _Text:
    found = words(beginning)
    return _Text(beginning.casefold(), Counter(found), len(found))


def _found(
    wanted: Collection[str], texts: Sequence[_Text], *, pseudo_texts: int = 0
) -> tuple[list[list[str]], dict[str, float]]:
    """Return the wanted words that each text contains, and the rarity of all of them."""
    # Sorted: a sum of floats depends on its order, and the order of a set on the process.
    ordered = sorted(wanted)
    found = [[word for word in ordered if word in text.counts] for text in texts]
    frequency = Counter(chain.from_iterable(found))
    total = len(texts) + pseudo_texts
    return found, {word: _rarity(frequency[word], total) for word in ordered}


def _rarity(containing: int, total: int) -> float:
    return math.log(1 + (total - containing + 0.5) / (containing + 0.5))


def _containing(identifier: str, texts: Sequence[_Text]) -> list[bool]:
    held = [identifier in text.folded for text in texts]
    if not any(held):
        return held  # an expression takes longer to compile than all texts to search
    whole = re.compile(rf"(?<![^\W_]){re.escape(identifier)}(?![^\W_])")
    return [
        is_held and whole.search(text.folded) is not None for is_held, text in zip(held, texts, strict=True)
    ]


def _scores(
    rarity: Mapping[str, float], found: Sequence[Sequence[str]], texts: Sequence[_Text]
) -> list[float]:
    """Return BM25 scores without their constant factor."""
    average = max(1.0, sum(text.total for text in texts) / max(1, len(texts)))
    return [
        _explained([(rarity[word], text.counts[word]) for word in held], text.total, average)
        for held, text in zip(found, texts, strict=True)
    ]


def _explained(found: Sequence[tuple[float, int]], length: int, average: float) -> float:
    """Return the score of a text for the weights and counts of what it contains."""
    saturation = _SATURATION * (1 - _LENGTH_PENALTY + _LENGTH_PENALTY * length / average)
    return sum(weight * count / (count + saturation) for weight, count in found)


_MAX_NAMES = 60
"""Of one text: a dump of ids is not a description."""
_PARTS = re.compile(r"[._-]+")


def names(text: str) -> list[str]:
    """Return the names by which an entry is found: the identifiers in its text and their parts."""
    found = identifiers(text)
    parts = [part for one in found for part in _PARTS.split(one) if identifiers(part) == [part]]
    return list(dict.fromkeys([*found, *parts]))[:_MAX_NAMES]
