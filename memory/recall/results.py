"""Queries to incident memory and its answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallQuery:
    """A question, or an ongoing incident, to find similar past incidents for."""

    text: str
    """For an incident made with `memory.text.recipe.query_text`."""
    target: str | None = None
    """The affected target; incidents of the same target are preferred, others are not left out."""
    exclude_incident_id: int | None = None
    """The incident that the text is about, which must not find itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecalledIncident:
    """A resolved incident that resembles a query, with its values from the database."""

    query: RecallQuery
    """The query that it matches; of several the one that ranks it highest."""
    incident_id: int
    public_id: str
    title: str
    symptoms: str
    target: str | None
    severity: str
    started_at: datetime
    resolved_at: datetime
    root_cause: str | None
    resolution: str | None
    provenance: str
    """Who wrote cause and fix: human, model, import or code."""
    status: str
    """`approved`, or `draft` until a person has approved cause and fix."""
    similarity: float
    """Cosine of the two texts' vectors, at most 1."""
    confidence: float
    """Probability that it is an answer, from 0 to 1: see `memory.recall.abstention`."""
    recurrences: int
    """Incidents resolved before `as_of` that are recurrences of the same, itself included; at least 1."""
    last_seen: datetime
    """When the newest of them started."""


@dataclass(frozen=True, slots=True)
class NoMatch:
    """A query without a similar incident."""

    query: RecallQuery
    best_similarity: float | None
    """Cosine of the closest incident; None if none had been resolved by then."""


class RecallOutcome(StrEnum):
    """What came of asking memory."""

    FOUND = "found"
    ABSTAINED = "abstained"
    """Nothing that is similar enough."""
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class RecallReport:
    """One recall, as metrics count it."""

    outcome: RecallOutcome
    seconds: float


@dataclass(frozen=True, slots=True)
class Recall:
    """The answer of memory: recalled incidents, best first, and the queries without any."""

    recollections: tuple[RecalledIncident, ...]
    """Each incident once; every query's best comes before any query's second, and drafts after all others."""
    misses: tuple[NoMatch, ...]
