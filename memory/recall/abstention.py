"""How likely a recalled incident is an answer at all: the answer to "has this happened before?" can be no.

No single score tells: the closest text is close in any large memory. A logistic regression weighs several.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What speaks for and against the best incident of one cluster."""

    similarity: float
    """Cosine above the embedder's background, as a share of what is left up to 1."""
    lexical: float
    """Share of the query's wording."""
    contrast: float
    """Relevance above that of the cluster in the middle."""
    log_words: float
    """Of words that the query is about, plus one: a longer text is more like any other."""
    names_something: float
    """1 where the query holds an identifier, which an answer would hold too; else 0."""


_INTERCEPT = -2.85
_COEFFICIENTS = Evidence(similarity=1.83, lexical=10.1, contrast=9.84, log_words=-0.51, names_something=-0.94)
"""From `python -m evaluation.recall.fit`: some 2,000 queries of the tuning families over histories of 40 to
1,000 incidents, and, with a quarter of the weight each, those of the tuning half of the labelled reports;
with both embedders. The gap to the next cluster, age, target and quoted errors told nothing more: the same
failure elsewhere makes the gap small, and what is two years old may be the answer."""

MIN_CONFIDENCE = 0.4
"""At this, 84 % of what was shown of those histories was right; 82 % of the queries that had an answer got
one, and 14 % of those that had none. Cross-validated."""


STANDS_OUT = 0.2, 0.15
"""Likeness and lead from which an incident is an answer whatever the wording: a paraphrase without a common
word is what embeddings are for. In a large memory hardly anything leads by as much and is not an answer."""


def stands_out(evidence: Evidence, lead: float) -> bool:
    """Whether the meaning alone tells; `lead` is by how much the cosine is above any other cluster's."""
    likeness, ahead = STANDS_OUT
    return evidence.similarity >= likeness and lead >= ahead


def confidence(evidence: Evidence) -> float:
    """The probability that it is an answer, from 0 to 1."""
    pairs = zip(astuple(_COEFFICIENTS), astuple(evidence), strict=True)
    return 1 / (1 + math.exp(-_INTERCEPT - sum(weight * value for weight, value in pairs)))
