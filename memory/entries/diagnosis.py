"""Cause and fix of an incident: which author's, and whether a person has approved them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, SQLColumnExpression, and_, case

from memory.entries.texts import effective_at, is_recallable_postmortem
from models import Incident, Postmortem, ReviewStatus

Moment = datetime | ColumnElement[datetime]
"""A moment, or the parameter of a statement that is built once."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Cause and fix of one incident, by one author."""

    root_cause: str | None
    resolution: str | None
    provenance: str
    status: str

    @property
    def is_draft(self) -> bool:
        """True until a person has approved it."""
        return self.status != ReviewStatus.APPROVED


def known_postmortem(as_of: Moment) -> ColumnElement[bool]:
    """Return the join condition for the postmortem known before a moment, with its present text."""
    return and_(Postmortem.incident_id == Incident.id, is_recallable_postmortem(), effective_at() < as_of)


def approved_before(as_of: Moment) -> ColumnElement[bool]:
    """Return the condition that the postmortem had been approved before a moment."""
    return and_(Postmortem.status == ReviewStatus.APPROVED, Postmortem.reviewed_at < as_of)


def diagnosis_columns(as_of: Moment) -> tuple[SQLColumnExpression[Any], ...]:
    """Return what `diagnosis_of` needs of an incident joined with its known postmortem."""
    return (
        Incident.root_cause,
        Incident.resolution,
        Incident.provenance,
        Incident.review,
        Postmortem.id.label("postmortem_id"),
        Postmortem.root_cause.label("postmortem_cause"),
        Postmortem.resolution.label("postmortem_resolution"),
        Postmortem.provenance.label("postmortem_provenance"),
        case((approved_before(as_of), 1), else_=0).label("is_approved"),
    )


def diagnosis_of(row: Any) -> Diagnosis:
    """Return an incident's diagnosis: its approved postmortem, else its record, else a draft postmortem.

    A draft counts only if the record has neither cause nor fix.
    """
    recorded = row.root_cause is not None or row.resolution is not None
    if row.postmortem_id is not None and (row.is_approved or not recorded):
        approved = row.is_approved and row.review == ReviewStatus.APPROVED
        status = ReviewStatus.APPROVED if approved else ReviewStatus.DRAFT
        return Diagnosis(row.postmortem_cause, row.postmortem_resolution, row.postmortem_provenance, status)
    return Diagnosis(row.root_cause, row.resolution, row.provenance, row.review)
