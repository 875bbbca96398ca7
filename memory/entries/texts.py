"""Which texts memory holds of an incident, read from the database: its record's, and its postmortem's."""

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
    """An entry as it has to be, still without its embedding."""

    incident_id: int
    source: EntrySource
    text: str
    content_hash: str
    known_at: datetime


def memorable() -> ColumnElement[bool]:
    """The incidents that memory holds: over, and neither rejected nor forgotten."""
    return and_(
        Incident.status == IncidentStatus.RESOLVED,
        Incident.review != ReviewStatus.REJECTED,
        Incident.forgotten_at.is_(None),
    )


def telling() -> ColumnElement[bool]:
    """The postmortems that tell memory something: what code wrote only repeats the record."""
    return and_(
        Postmortem.status != ReviewStatus.REJECTED,
        Postmortem.provenance != Provenance.CODE,
        Postmortem.root_cause.is_not(None) | Postmortem.resolution.is_not(None),
    )


def told_at() -> ColumnElement[datetime]:
    """When a postmortem came to say what it says now."""
    return func.coalesce(Postmortem.edited_at, Postmortem.created_at)


def subjects() -> Select[*tuple[Any, ...]]:
    """The incidents that memory holds, each with what its texts are made of."""
    return (
        select(
            Incident.id,
            _part(Incident.title, MAX_TITLE).label("title"),
            _part(Incident.symptoms, MAX_SYMPTOMS).label("symptoms"),
            Incident.target,
            _part(Incident.root_cause, MAX_CAUSE).label("root_cause"),
            _part(Incident.resolution, MAX_RESOLUTION).label("resolution"),
            Incident.resolved_at,
            Postmortem.id.label("postmortem_id"),
            _part(Postmortem.root_cause, MAX_CAUSE).label("told_cause"),
            _part(Postmortem.resolution, MAX_RESOLUTION).label("told_resolution"),
            told_at().label("told_at"),
        )
        .outerjoin(Postmortem, and_(Postmortem.incident_id == Incident.id, telling()))
        .where(memorable())
    )


def drafts(rows: Sequence[Any], embedder: Embedder, redact: Redact) -> Iterator[Draft]:
    """The entries that rows of `subjects` call for. Hashes: call it in a thread."""
    for row in rows:
        record = _text(row, row.root_cause, row.resolution, redact)
        yield _draft(row.id, EntrySource.INCIDENT, record, row.resolved_at, embedder)
        if row.postmortem_id is not None:
            told = _text(row, row.told_cause, row.told_resolution, redact)
            if told != record:
                known_at = max(row.resolved_at, row.told_at)
                yield _draft(row.id, EntrySource.POSTMORTEM, told, known_at, embedder)


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


def _draft(incident_id: int, source: EntrySource, text: str, known_at: datetime, embedder: Embedder) -> Draft:
    digest = content_hash(text, model_id=embedder.model_id, weights_hash=embedder.weights_hash)
    return Draft(incident_id, source, text, digest, known_at)


def _part(column: Any, longest: int) -> ColumnElement[str]:
    """The beginning of a text: enough for the recipe, however long the whole is."""
    return func.substr(column, 1, 2 * longest)
