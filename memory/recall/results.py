"""What is asked of incident memory and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallQuery:
    """One thing to find similar past incidents for: a question, or an ongoing incident."""

    text: str
    """For an incident made with `memory.text.recipe.query_text`."""
    target: str | None = None
    """What is hit; incidents of the same target are preferred, others are not left out."""
    exclude_incident_id: int | None = None
    """The incident that the text is about, which must not find itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recollection:
    """A resolved incident that resembles a query, with its values from the database."""

    query: RecallQuery
    """The query that it matched; of several the one that ranks it highest."""
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
    """`approved`, or `draft` where nobody has vouched for cause and fix yet."""
    similarity: float
    """Cosine of the two texts' vectors, at most 1."""
    confidence: float
    """How likely it is an answer, from 0 to 1: see `memory.recall.abstention`."""
    recurrences: int
    """How many incidents resolved before `as_of` are the same again, itself included; at least 1."""
    last_seen: datetime
    """When the newest of them started."""


@dataclass(frozen=True, slots=True)
class Miss:
    """A query that nothing in memory resembles enough."""

    query: RecallQuery
    best_similarity: float | None
    """The closest there was; None: no incident had been resolved by then."""


@dataclass(frozen=True, slots=True)
class Recall:
    """The answer of memory: what it recalls, best first, and for which queries it has nothing."""

    recollections: tuple[Recollection, ...]
    """Each incident once; every query's best comes before any query's second, and drafts after all others."""
    misses: tuple[Miss, ...]
