"""What the entries of one corpus add up to: ranking against the baselines, and when the answer is no."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from memory.recall.abstention import MIN_CONFIDENCE
from tests.evaluation.recall.contest import DENSE, LEXICAL, METHODS, OURS, Entry
from tests.evaluation.recall.measures import METRICS, auc, ranking_scores, risk_coverage
from tests.evaluation.recall.significance import interval, paired_p

ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingScore:
    """One metric of one kind of query, over the queries that have an answer."""

    corpus: str
    kind: str
    metric: str
    queries: int
    means: dict[str, float]
    """By method."""
    low: float
    high: float
    """Between them lies our mean in 95 % of bootstrap samples."""
    p: dict[str, float]
    """By baseline: how often chance alone would differ from ours as much."""

    @property
    def ahead(self) -> float:
        """Ours less the better baseline."""
        return self.means[OURS] - max(self.means[DENSE], self.means[LEXICAL])


@dataclass(frozen=True, slots=True, kw_only=True)
class AbstentionScore:
    """How well it is known that there is nothing to recall."""

    corpus: str
    queries: int
    without_answer: int
    auc: dict[str, float]
    """By method: how often a query with an answer is surer of its first result than one without."""
    aurc: dict[str, float]
    """By method: mean share of wrong first results over all shares of queries answered, surest first."""
    least_aurc: dict[str, float]
    """What that would be if sureness were perfect, with the same first results."""
    precision: float
    """Of those answered with "nothing similar", the share that has no answer."""
    recall: float
    """Of those that have no answer, the share answered with "nothing similar"."""
    answered: float
    """Of those that have an answer, the share that got one, right or not."""
    right_shown: float
    """Of the first results shown, the share that is right."""
    covered: dict[str, list[float]]
    """By method: share of wrong first results among the surest 25, 50, 75 and 100 % of queries."""


def ranking(corpus: str, entries: Sequence[Entry]) -> list[RankingScore]:
    """Every metric, over all queries and over each kind."""
    with_answer = [entry for entry in entries if entry.query.relevant]
    kinds = list(dict.fromkeys(entry.query.kind for entry in with_answer))
    return [
        _ranking_score(corpus, kind, metric, [e for e in with_answer if kind in (ALL, e.query.kind)])
        for kind in ([ALL, *kinds] if len(kinds) > 1 else kinds)
        for metric in METRICS
    ]


def _ranking_score(corpus: str, kind: str, metric: str, entries: Sequence[Entry]) -> RankingScore:
    groups = [entry.query.group for entry in entries]
    values = {
        method: [ranking_scores(entry.found[method], entry.query.relevant)[metric] for entry in entries]
        for method in METHODS
    }
    low, high = interval(values[OURS], groups)
    return RankingScore(
        corpus=corpus,
        kind=kind,
        metric=metric,
        queries=len(entries),
        means={method: float(np.mean(of_method)) for method, of_method in values.items()},
        low=low,
        high=high,
        p={method: paired_p(values[OURS], values[method], groups) for method in (DENSE, LEXICAL)},
    )


def abstention(corpus: str, entries: Sequence[Entry]) -> AbstentionScore:
    """Over all queries, those without an answer included."""
    has = np.array([bool(entry.query.relevant) for entry in entries])
    sure = {method: np.array([entry.sure[method] for entry in entries]) for method in METHODS}
    right = {method: np.array([entry.right(method) for entry in entries]) for method in METHODS}
    risks = {method: risk_coverage(sure[method], right[method]) for method in METHODS}
    silent = sure[OURS] < MIN_CONFIDENCE
    shown = np.array([entry.shown[0] in entry.query.relevant for entry in entries if entry.shown])
    return AbstentionScore(
        corpus=corpus,
        queries=len(entries),
        without_answer=int((~has).sum()),
        auc={method: auc(sure[method], has) for method in METHODS},
        aurc={method: risk[1] for method, risk in risks.items()},
        least_aurc={
            method: risk_coverage(right[method].astype(np.float64), right[method])[1] for method in METHODS
        },
        precision=float((~has)[silent].mean()) if silent.any() else 1.0,
        recall=float(silent[~has].mean()),
        answered=float((~silent)[has].mean()),
        right_shown=float(shown.mean()) if len(shown) else 1.0,
        covered={
            method: [float(risk[0][max(0, round(len(has) * share) - 1)]) for share in (0.25, 0.5, 0.75, 1)]
            for method, risk in risks.items()
        },
    )


def to_json(score: RankingScore | AbstentionScore) -> dict[str, Any]:
    """Plain values."""
    return asdict(score)
