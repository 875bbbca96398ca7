"""BM25 over a whole corpus: the baseline that knows words only."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from memory.text.lexical import words

_SATURATION = 1.2
_LENGTH_PENALTY = 0.75


class BM25:
    """Exact scores, k1 1.2, b 0.75, words as they are."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._total = len(texts)
        counts = [Counter(words(text)) for text in texts]
        lengths = np.array([count.total() for count in counts], dtype=np.float64)
        norm = _SATURATION * (1 - _LENGTH_PENALTY + _LENGTH_PENALTY * lengths / max(1.0, lengths.mean()))
        postings: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        for at, count in enumerate(counts):
            for word, often in count.items():
                postings[word].append((at, often * (_SATURATION + 1) / (often + norm[at])))
        self._postings = {
            word: (np.array([at for at, _ in found]), np.array([weight for _, weight in found]))
            for word, found in postings.items()
        }

    def scores(self, query: str) -> NDArray[np.float64]:
        """One per text."""
        scores = np.zeros(self._total)
        for word in dict.fromkeys(words(query)):
            if word in self._postings:
                places, weights = self._postings[word]
                containing = len(places)
                scores[places] += weights * math.log(
                    1 + (self._total - containing + 0.5) / (containing + 0.5)
                )
        return scores
