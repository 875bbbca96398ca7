"""`python -m evaluation.recall.fit`: coefficients for memory/abstention.py, from what is tuned by alone."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import astuple, fields

import numpy as np

from evaluation.recall.catalogue import tuning_families
from evaluation.recall.contest import Contest, Entry
from evaluation.recall.corpus import Corpus
from evaluation.recall.histories import make_history
from memory.abstention import Evidence
from memory.embedder import Embedder
from memory.hashing import HashingEmbedder
from memory.sentence_transformer import SentenceTransformerEmbedder

_SIZES = (1_000, 1_000, 400, 120, 40)
_LOOKED_AT = 4
"""Results of a query that are learnt from: as many as are shown."""


def tuning_corpora() -> list[Corpus]:
    """Histories of several sizes, since a memory begins small.

    No reports: few of their duplicates are marked, and all are as old.
    """
    present = tuning_families()
    return [
        make_history(f"tuning {number}", present=present, asked_about=present, incidents=size)
        for number, size in enumerate(_SIZES, 1)
    ]


async def fit(embedders: Sequence[Embedder], corpora: Sequence[Corpus]) -> None:
    """Prints what a logistic regression finds, and what would be shown at each threshold, cross-validated."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415  only wanted here

    seen: list[tuple[str, Entry]] = [
        (corpus.name, entry)
        for embedder in embedders
        for corpus in corpora
        for entry in await Contest(corpus, embedder).entries()
    ]
    rows = [
        (astuple(found.evidence), found.candidate.incident_id in entry.query.relevant, name, at)
        for at, (name, entry) in enumerate(seen)
        for found in entry.results[:_LOOKED_AT]
    ]
    features = np.array([row[0] for row in rows])
    right = np.array([row[1] for row in rows])
    corpus_of = np.array([row[2] for row in rows])
    asked = np.array([row[3] for row in rows])
    scale = features.std(axis=0) + 1e-9
    told = np.zeros(len(rows))
    for name in dict.fromkeys(corpus_of):
        others, own = corpus_of != name, corpus_of == name
        model = LogisticRegression(max_iter=2_000).fit(features[others] / scale, right[others])
        told[own] = model.predict_proba(features[own] / scale)[:, 1]
    model = LogisticRegression(max_iter=2_000).fit(features / scale, right)
    out = sys.stdout.write
    out(f"intercept={model.intercept_[0]:.2f}\n")
    for field, weight, one in zip(fields(Evidence), model.coef_[0] / scale, model.coef_[0], strict=True):
        out(f"{field.name}={weight:.2f}  (per standard deviation {one:.2f})\n")
    for least in np.arange(0.2, 0.85, 0.05):
        shown = told >= least
        answerable = {at for at, (_, entry) in enumerate(seen) if entry.query.relevant}
        answered = set(asked[shown])
        out(
            f"{least:.2f}: of what is shown right {right[shown].mean():.3f}; queries answered that have an "
            f"answer {len(answered & answerable) / len(answerable):.3f}, that have none "
            f"{len(answered - answerable) / (len(seen) - len(answerable)):.3f}\n"
        )


if __name__ == "__main__":
    asyncio.run(fit([SentenceTransformerEmbedder(), HashingEmbedder()], tuning_corpora()))
