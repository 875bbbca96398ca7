"""What memory tells about an incident: whose cause and fix, and whether anybody vouches for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, SQLColumnExpression, and_, case, select

from memory.entries.texts import telling, told_at
from models import Incident, Postmortem, ReviewStatus


@dataclass(frozen=True, slots=True)
class Told:
    """Cause and fix of one incident, from one author."""

    root_cause: str | None
    resolution: str | None
    provenance: str
    status: str

    @property
    def is_draft(self) -> bool:
        """Whether nobody vouches for it."""
        return self.status != ReviewStatus.APPROVED


def known_postmortem(as_of: datetime) -> ColumnElement[bool]:
    """Joins the postmortem that an incident had before a moment, as it reads now."""
    return and_(Postmortem.incident_id == Incident.id, telling(), told_at() < as_of)


def approved_by(as_of: datetime) -> ColumnElement[bool]:
    """Whether the postmortem had been approved before a moment."""
    return and_(Postmortem.status == ReviewStatus.APPROVED, Postmortem.reviewed_at < as_of)


def told_columns(as_of: datetime) -> tuple[SQLColumnExpression[Any], ...]:
    """What `told` needs of an incident joined with its known postmortem."""
    return (
        Incident.root_cause,
        Incident.resolution,
        Incident.provenance,
        Incident.review,
        Postmortem.id.label("postmortem_id"),
        Postmortem.root_cause.label("told_cause"),
        Postmortem.resolution.label("told_resolution"),
        Postmortem.provenance.label("told_by"),
        case((approved_by(as_of), 1), else_=0).label("is_approved"),
    )


def select_told(as_of: datetime) -> Select[*tuple[Any, ...]]:
    """Incidents with what was known of their cause and fix before a moment."""
    return select(Incident.id, *told_columns(as_of)).outerjoin(Postmortem, known_postmortem(as_of))


def told(row: Any) -> Told:
    """An approved postmortem goes before the record, and the record before a draft.

    A draft fills in only where the record has neither cause nor fix.
    """
    recorded = row.root_cause is not None or row.resolution is not None
    if row.postmortem_id is not None and (row.is_approved or not recorded):
        approved = row.is_approved and row.review == ReviewStatus.APPROVED
        status = ReviewStatus.APPROVED if approved else ReviewStatus.DRAFT
        return Told(row.told_cause, row.told_resolution, row.told_by, status)
    return Told(row.root_cause, row.resolution, row.provenance, row.review)
