"""Decides whether a similar incident is an answer: "has this happened before?" can be answered by no.

No single score decides: the closest text is close in any large memory. A logistic regression weighs several.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass, fields
from operator import attrgetter


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Features of the best incident of one cluster."""

    similarity: float
    """Cosine above the embedder's background, scaled so that the maximum is 1."""
    lexical: float
    """Share of the query's wording, from 0 to 1."""
    contrast: float
    """Relevance above that of the median cluster."""
    log_words: float
    """Of the query's content words plus one: a longer text is more similar to any other."""
    names_something: float
    """1 if the query contains an identifier, which an answer would contain too; else 0."""


_INTERCEPT = -2.85
_COEFFICIENTS = Evidence(similarity=1.83, lexical=10.1, contrast=9.84, log_words=-0.51, names_something=-0.94)
"""From `python -m tests.evaluation.recall.fit`: some 2,000 queries of the tuning families over histories of
40 to 1,000 incidents, and, with a quarter of the weight each, those of the tuning half of the labelled
reports; with both embedders. The gap to the next cluster, age, target and quoted errors added nothing: the
same failure elsewhere makes the gap small, and the answer may be two years old."""

_WEIGHTS: tuple[float, ...] = astuple(_COEFFICIENTS)
_VALUES = attrgetter(*(field.name for field in fields(Evidence)))
"""`astuple` would copy every number on its own, hundreds of them for a question."""

MIN_CONFIDENCE = 0.4
"""At this, 84 % of what was shown of those histories was right; 82 % of the queries that had an answer got
one, and 14 % of those that had none. Cross-validated."""


CLEAR_LEAD = 0.2, 0.15
"""Similarity and lead from which an incident is an answer regardless of wording: embeddings are for
paraphrases without a common word. In a large memory hardly anything else leads by as much."""


def leads_clearly(evidence: Evidence, lead: float) -> bool:
    """Return True if the meaning alone decides; `lead` is the cosine above that of any other cluster."""
    min_similarity, min_lead = CLEAR_LEAD
    return evidence.similarity >= min_similarity and lead >= min_lead


def confidence(evidence: Evidence) -> float:
    """Return the probability that it is an answer, from 0 to 1."""
    pairs = zip(_WEIGHTS, _VALUES(evidence), strict=True)
    return 1 / (1 + math.exp(-_INTERCEPT - sum(weight * value for weight, value in pairs)))
