"""How much of a query's wording other texts share: what an embedding blurs, such as error codes and names."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

_WORD = re.compile(r"[^\W_]+")

_QUERY_WORDS = 60
"""The beginning of a query says what it is about; more words measurably dilute it."""
_TEXT_WORDS = 600
"""Bounds the work on one text."""
_MAX_CHARACTERS = 12 * _TEXT_WORDS

_SATURATION = 1.2
"""BM25's k1: how soon more mentions of a word stop adding."""
_LENGTH_PENALTY = 0.75
"""BM25's b: how much a long text has to mention a word more often."""


def words(text: str, most: int = _TEXT_WORDS) -> list[str]:
    """The first words of a text, case-folded."""
    return _WORD.findall(text[:_MAX_CHARACTERS].casefold())[:most]


def lexical_scores(query: str, texts: Sequence[str]) -> list[float]:
    """For each text, the share of the query's wording that it explains, from 0 to below 1.

    BM25 divided by the most that the query could score, with word rarity taken from the texts
    themselves: among incidents that are close already, the words that tell them apart count.
    """
    wanted = set(words(query, _QUERY_WORDS))
    counts = [Counter(words(text)) for text in texts]
    if not wanted or not counts:
        return [0.0] * len(texts)
    frequency = Counter(word for count in counts for word in count if word in wanted)
    # Sorted: a sum of floats depends on its order, and the order of a set on the process.
    rarity = {word: _rarity(frequency[word], len(texts)) for word in sorted(wanted)}
    most = sum(rarity.values())
    average = max(1.0, sum(count.total() for count in counts) / len(counts))
    return [_explained(rarity, count, average) / most for count in counts]


def _rarity(containing: int, total: int) -> float:
    return math.log(1 + (total - containing + 0.5) / (containing + 0.5))


def _explained(rarity: dict[str, float], count: Counter[str], average: float) -> float:
    saturation = _SATURATION * (1 - _LENGTH_PENALTY + _LENGTH_PENALTY * count.total() / average)
    return sum(weight * count[word] / (count[word] + saturation) for word, weight in rarity.items())
