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
    """Relevance above that of the candidate in the middle."""
    lead: float
    """Relevance above that of the next best cluster."""
    same_target: float
    """1 or 0."""
    same_errors: float
    """Share of the errors that the query quotes."""
    log_age: float
    """Of days since it was over."""
    log_words: float
    """Of words that the query is about."""
    names_something: float
    """1 where the query holds an identifier, else 0."""


_INTERCEPT = -3.0
_COEFFICIENTS = Evidence(
    similarity=3.0,
    lexical=5.0,
    contrast=3.0,
    lead=0.5,
    same_target=0.0,
    same_errors=0.3,
    log_age=0.0,
    log_words=0.0,
    names_something=-1.0,
)

LEAST_CONFIDENCE = 0.5


def confidence(evidence: Evidence) -> float:
    """The probability that it is an answer, from 0 to 1."""
    pairs = zip(astuple(_COEFFICIENTS), astuple(evidence), strict=True)
    return 1 / (1 + math.exp(-_INTERCEPT - sum(weight * value for weight, value in pairs)))
