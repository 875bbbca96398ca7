"""The texts that memory holds of an incident, read from the database: its record's and its postmortem's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, select

from memory.embedding.embedder import Embedder
from memory.text.recipe import (
    MAX_CAUSE,
    MAX_RESOLUTION,
    MAX_SYMPTOMS,
    MAX_TITLE,
    IncidentFacts,
    Redact,
    content_hash,
    incident_text,
)
from models import EntrySource, Incident, IncidentStatus, Postmortem, Provenance, ReviewStatus


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry as it has to be, without its embedding."""

    incident_id: int
    source: EntrySource
    text: str
    content_hash: str
    known_at: datetime


def is_recallable() -> ColumnElement[bool]:
    """Return the condition for incidents in memory: resolved, and neither rejected nor forgotten."""
    return and_(
        Incident.status == IncidentStatus.RESOLVED,
        Incident.review != ReviewStatus.REJECTED,
        Incident.forgotten_at.is_(None),
    )


def is_recallable_postmortem() -> ColumnElement[bool]:
    """Return the condition for postmortems that add to the record; those by code only repeat it."""
    return and_(
        Postmortem.status != ReviewStatus.REJECTED,
        Postmortem.provenance != Provenance.CODE,
        Postmortem.root_cause.is_not(None) | Postmortem.resolution.is_not(None),
    )


def effective_at() -> ColumnElement[datetime]:
    """Return the moment from which a postmortem reads as it does now."""
    return func.coalesce(Postmortem.edited_at, Postmortem.created_at)


def select_recallable() -> Select[*tuple[Any, ...]]:
    """Select the incidents in memory, each with the parts of its texts."""
    return (
        select(
            Incident.id,
            _beginning(Incident.title, MAX_TITLE).label("title"),
            _beginning(Incident.symptoms, MAX_SYMPTOMS).label("symptoms"),
            Incident.target,
            _beginning(Incident.root_cause, MAX_CAUSE).label("root_cause"),
            _beginning(Incident.resolution, MAX_RESOLUTION).label("resolution"),
            Incident.resolved_at,
            Postmortem.id.label("postmortem_id"),
            _beginning(Postmortem.root_cause, MAX_CAUSE).label("postmortem_cause"),
            _beginning(Postmortem.resolution, MAX_RESOLUTION).label("postmortem_resolution"),
            effective_at().label("effective_at"),
        )
        .outerjoin(Postmortem, and_(Postmortem.incident_id == Incident.id, is_recallable_postmortem()))
        .where(is_recallable())
    )


def drafts(rows: Sequence[Any], embedder: Embedder, redact: Redact) -> Iterator[Draft]:
    """Yield the entries for rows of `select_recallable`. Computes hashes: call it in a thread."""

    def draft(source: EntrySource, text: str, known_at: datetime) -> Draft:
        digest = content_hash(text, model_id=embedder.model_id, weights_hash=embedder.weights_hash)
        return Draft(row.id, source, text, digest, known_at)

    for row in rows:
        record = _text(row, row.root_cause, row.resolution, redact)
        yield draft(EntrySource.INCIDENT, record, row.resolved_at)
        if row.postmortem_id is not None:
            text = _text(row, row.postmortem_cause, row.postmortem_resolution, redact)
            if text != record:
                yield draft(EntrySource.POSTMORTEM, text, max(row.resolved_at, row.effective_at))


def _text(row: Any, cause: str | None, resolution: str | None, redact: Redact) -> str:
    return incident_text(
        IncidentFacts(
            title=redact(row.title),
            symptoms=redact(row.symptoms),
            target=row.target and redact(row.target),
            root_cause=cause and redact(cause),
            resolution=resolution and redact(resolution),
        )
    )


def _beginning(column: Any, max_length: int) -> ColumnElement[str]:
    """Return the beginning of a text: enough for the recipe, however long the whole is."""
    return func.substr(column, 1, 2 * max_length)
