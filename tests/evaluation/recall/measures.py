"""How good one ranking is, and one set of refusals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import numpy as np
from numpy.typing import NDArray

METRICS = ("hit@1", "recall@5", "recall@10", "MRR", "nDCG@10")
_DEPTH = 10


def ranking_scores(found: Sequence[int], relevant: AbstractSet[int]) -> dict[str, float]:
    """Each metric for one query that has an answer.

    Recall is of as many as could be found within its depth: a family may have come back fifty times.
    """
    right = [place in relevant for place in found[:_DEPTH]]
    first = next((at for at, place in enumerate(found) if place in relevant), None)
    gained = sum(1 / math.log2(at + 2) for at, one in enumerate(right) if one)
    ideal = sum(1 / math.log2(at + 2) for at in range(min(_DEPTH, len(relevant))))
    return {
        "hit@1": float(bool(right[:1]) and right[0]),
        "recall@5": sum(right[:5]) / min(5, len(relevant)),
        "recall@10": sum(right) / min(_DEPTH, len(relevant)),
        "MRR": 0.0 if first is None else 1 / (first + 1),
        "nDCG@10": gained / ideal,
    }


def auc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """How often a query with an answer scores above one without; ties count half."""
    higher = scores[positive][:, None] > scores[~positive][None, :]
    equal = scores[positive][:, None] == scores[~positive][None, :]
    return float((higher + 0.5 * equal).mean())


def risk_coverage(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """The share of wrong answers among the surest 1, 2, ... and the mean of it: the area under the curve."""
    order = np.argsort(-scores, kind="stable")
    risk = np.cumsum(~right[order]) / np.arange(1, len(right) + 1)
    return risk, float(risk.mean())
