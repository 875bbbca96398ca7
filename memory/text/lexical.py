"""How much of a query's wording other texts share: what an embedding blurs, such as error codes and names."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

_WORD = re.compile(r"[^\W_]+")

_QUERY_WORDS = 60
"""The beginning of a query says what it is about; more words measurably dilute it."""
_QUERY_IDENTIFIERS = 20
_TEXT_WORDS = 600
"""Bounds the work on one text."""
_MAX_CHARACTERS = 12 * _TEXT_WORDS

_SATURATION = 1.2
"""BM25's k1: how soon more mentions of a word stop adding."""
_LENGTH_PENALTY = 0.75
"""BM25's b: how much a long text has to mention a word more often."""
_DOUBT = 15.0
"""Rarity, in nats, that is counted as unexplained whatever the query: of a question of three words that all
occur in a text less is known to match than of an incident of thirty."""

_OTHERS = 30
"""Texts that are thought to stand beside those given and to hold none of the words: of a memory of three
incidents a word that one of them has is not common."""

_IDENTIFIER = re.compile(r"\b(?=[\w.-]*\d)(?=[\w.-]*[^\W\d_])[\w.-]{5,64}\b|\b\w{1,32}_\w{1,32}\b")
"""`user_3fa2c1`, `1f0c22e4`, `v3.14.2`, `edge-07`, `rate_limit_exceeded`: names nobody uses by chance."""

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
"""Say how a question is built, not what it is about."""


@dataclass(frozen=True, slots=True)
class Wording:
    """What of a query is looked for in other texts."""

    words: tuple[str, ...]
    """Each once, case-folded, in their order."""
    identifiers: tuple[str, ...]
    """Likewise; the words of an identifier are among the words too."""


def words(text: str, most: int = _TEXT_WORDS) -> list[str]:
    """The first words of a text, case-folded."""
    return _WORD.findall(text[:_MAX_CHARACTERS].casefold())[:most]


def wording(query: str, target: str | None = None) -> Wording:
    """The words and identifiers that a query is about, without those of its target.

    What else has befallen a target is no sign of likeness; that it is the same is a feature of its own.
    """
    named = set(words(target or ""))
    said = list(dict.fromkeys(words(query)))
    telling = [word for word in said if word not in _FUNCTION_WORDS and word not in named]
    of_target = (target or "").casefold()
    named_too = [one for one in identifiers(query) if one not in of_target]
    return Wording(tuple((telling or said)[:_QUERY_WORDS]), tuple(named_too[:_QUERY_IDENTIFIERS]))


def identifiers(text: str) -> list[str]:
    """Names of things that a text holds, case-folded, each once, in their order."""
    return list(dict.fromkeys(_IDENTIFIER.findall(text[:_MAX_CHARACTERS].casefold())))


def lexical_scores(query: str, texts: Sequence[str]) -> list[float]:
    """For each text, the share of the query's words that it explains, from 0 to below 1.

    BM25 divided by the most that the query could score, with word rarity taken from the texts themselves.
    """
    wanted = set(words(query, _QUERY_WORDS))
    counts = [Counter(words(text)) for text in texts]
    rarity = _rarities(wanted, counts)
    most = sum(rarity.values())
    return [score / most if most else 0.0 for score in _scores(rarity, counts)]


def wording_scores(wanted: Wording, texts: Sequence[str]) -> list[float]:
    """For each text, the share of the wording that it explains, from 0 to below 1.

    As `lexical_scores`, with identifiers counted once more as a whole: among incidents that are close
    already, the words that tell them apart count.
    """
    counts = [Counter(words(text)) for text in texts]
    rarity = _rarities(wanted.words, counts, others=_OTHERS)
    holding = {one: _holding(one, texts) for one in wanted.identifiers}
    weights = {one: _rarity(sum(held), len(texts) + _OTHERS) for one, held in holding.items()}
    most = _DOUBT + sum(rarity.values()) + sum(weights.values())
    named = [sum(weight for one, weight in weights.items() if holding[one][at]) for at in range(len(texts))]
    # What identifiers say is not doubted: they count of what there is to explain.
    return [
        score / most + whole / (most - _DOUBT) if whole else score / most
        for score, whole in zip(_scores(rarity, counts), named, strict=True)
    ]


def _rarities(
    wanted: Collection[str], counts: Sequence[Counter[str]], *, others: int = 0
) -> dict[str, float]:
    frequency = Counter(word for count in counts for word in count if word in wanted)
    # Sorted: a sum of floats depends on its order, and the order of a set on the process.
    return {word: _rarity(frequency[word], len(counts) + others) for word in sorted(wanted)}


def _rarity(containing: int, total: int) -> float:
    return math.log(1 + (total - containing + 0.5) / (containing + 0.5))


def _holding(identifier: str, texts: Sequence[str]) -> list[bool]:
    whole = re.compile(rf"(?<![^\W_]){re.escape(identifier)}(?![^\W_])")
    return [whole.search(text[:_MAX_CHARACTERS].casefold()) is not None for text in texts]


def _scores(rarity: Mapping[str, float], counts: Sequence[Counter[str]]) -> list[float]:
    """BM25 without its constant factor."""
    average = max(1.0, sum(count.total() for count in counts) / max(1, len(counts)))
    return [_explained(rarity, count, average) for count in counts]


def _explained(rarity: Mapping[str, float], count: Counter[str], average: float) -> float:
    saturation = _SATURATION * (1 - _LENGTH_PENALTY + _LENGTH_PENALTY * count.total() / average)
    return sum(weight * count[word] / (count[word] + saturation) for word, weight in rarity.items())


_MAX_NAMES = 60
"""Of one text: a dump of ids is no description."""
_PARTS = re.compile(r"[._-]+")


def names(text: str) -> list[str]:
    """What an entry is found by: the identifiers in its text, and those that they are made of."""
    found = identifiers(text)
    parts = [part for one in found for part in _PARTS.split(one) if identifiers(part) == [part]]
    return list(dict.fromkeys([*found, *parts]))[:_MAX_NAMES]
