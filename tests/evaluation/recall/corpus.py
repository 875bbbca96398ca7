"""What recall is measured on: past incidents, and queries of which it is known what they should find."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from memory.text.recipe import IncidentFacts, incident_text


@dataclass(frozen=True, slots=True, kw_only=True)
class PastIncident:
    """One document of a corpus."""

    public_id: str
    facts: IncidentFacts
    started_at: datetime
    resolved_at: datetime

    @property
    def text(self) -> str:
        """As memory stores it."""
        return incident_text(self.facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledQuery:
    """Something asked of memory, with what a right answer holds."""

    kind: str
    """`open incident`, `question` or `report`."""
    group: str
    """Queries of one group are alike, so they are drawn together when uncertainty is estimated."""
    text: str
    as_of: datetime
    relevant: frozenset[int]
    """Positions of the incidents to find, all of them over before `as_of`; none: the answer is no."""
    target: str | None = None
    own: int | None = None
    """Position of the incident that the query is about, which must not be found."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """A memory, and what is asked of it."""

    name: str
    incidents: tuple[PastIncident, ...]
    queries: tuple[LabelledQuery, ...]

    def may_find(self, query: LabelledQuery, position: int) -> bool:
        """Whether an incident was over when the query was asked, and is not what it is about."""
        return position != query.own and self.incidents[position].resolved_at < query.as_of
