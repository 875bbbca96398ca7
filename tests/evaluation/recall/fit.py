"""`python -m tests.evaluation.recall.fit`: coefficients for memory/recall/abstention.py, from tuning data."""

from __future__ import annotations

import asyncio
import sys
import zlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from memory.embedding.embedder import Embedder
from memory.embedding.hashing import HashingEmbedder
from memory.embedding.sentence_transformer import SentenceTransformerEmbedder
from memory.recall.abstention import Evidence
from tests.evaluation.recall.bug_reports import load_reports, tuning_half
from tests.evaluation.recall.catalogue import tuning_families
from tests.evaluation.recall.contest import Contest, Entry
from tests.evaluation.recall.corpus import Corpus
from tests.evaluation.recall.histories import make_history

_SIZES = (1_000, 1_000, 400, 120, 40)
"""Of the histories, since a memory begins small."""
_REPORTS_WEIGHT = 0.25
"""Few of the reports' duplicates are marked, so what is told wrong of them may be right."""
_LOOKED_AT = 4
"""Results of a query that are learnt from: as many as are shown."""
_FOLDS = 5


@dataclass(frozen=True, slots=True)
class _Asked:
    entry: Entry
    weight: float


def tuning_corpora() -> list[tuple[Corpus, float]]:
    """What may be learnt from, with its weight."""
    present = tuning_families()
    weighted = [
        (make_history(f"tuning {number}", present=present, asked_about=present, incidents=size), 1.0)
        for number, size in enumerate(_SIZES, 1)
    ]
    reports = load_reports()
    return weighted if reports is None else [*weighted, (tuning_half(reports), _REPORTS_WEIGHT)]


async def fit(embedders: Sequence[Embedder], corpora: Sequence[tuple[Corpus, float]]) -> None:
    """Prints what a logistic regression finds, and what would be shown at each threshold, cross-validated."""
    asked = [
        _Asked(entry, weight)
        for embedder in embedders
        for corpus, weight in corpora
        for entry in await Contest(corpus, embedder).entries()
    ]
    rows = [(at, found) for at, each in enumerate(asked) for found in each.entry.results[:_LOOKED_AT]]
    features = np.array([astuple(found.evidence) for _, found in rows])
    right = np.array([found.candidate.incident_id in asked[at].entry.query.relevant for at, found in rows])
    weights = np.array([asked[at].weight for at, _ in rows])
    fold = np.array([zlib.crc32(asked[at].entry.query.group.encode()) % _FOLDS for at, _ in rows])
    told = np.zeros(len(rows))
    for number in range(_FOLDS):
        others, own = fold != number, fold == number
        told[own] = _chances(_regression(features[others], right[others], weights[others]), features[own])
    for name, weight in zip(
        ("intercept", *(field.name for field in fields(Evidence))),
        _regression(features, right, weights),
        strict=True,
    ):
        sys.stdout.write(f"{name}={weight:.2f}\n")
    _print_thresholds(asked, np.array([at for at, _ in rows]), right, told)


def _regression(
    features: NDArray[np.float64], right: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The intercept and the coefficients."""
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]  # noqa: PLC0415  only needed here

    scale = features.std(axis=0) + 1e-9
    model = LogisticRegression(max_iter=3_000).fit(features / scale, right, sample_weight=weights)
    fitted: NDArray[np.float64] = np.concatenate([model.intercept_, model.coef_[0] / scale])
    return fitted


def _chances(model: NDArray[np.float64], features: NDArray[np.float64]) -> NDArray[np.float64]:
    chances: NDArray[np.float64] = 1 / (1 + np.exp(-(model[0] + features @ model[1:])))
    return chances


def _print_thresholds(
    asked: Sequence[_Asked], of: NDArray[np.int64], right: NDArray[np.bool_], told: NDArray[np.float64]
) -> None:
    """Of the histories: what is told to whom at each threshold. `of` is the query of each result."""
    whole = {at for at, each in enumerate(asked) if each.weight == 1}
    answerable = {at for at in whole if asked[at].entry.query.relevant}
    of_whole = np.array([at in whole for at in of])
    for least in np.arange(0.2, 0.85, 0.05):
        shown = (told >= least) & of_whole
        answered = set(of[shown].tolist())
        sys.stdout.write(
            f"{least:.2f}: of what is shown right {right[shown].mean():.3f}; queries answered that have an "
            f"answer {len(answered & answerable) / len(answerable):.3f}, that have none "
            f"{len(answered - answerable) / len(whole - answerable):.3f}\n"
        )


if __name__ == "__main__":
    asyncio.run(fit([SentenceTransformerEmbedder(), HashingEmbedder()], tuning_corpora()))
