"""Which incidents need a postmortem, read by pages so that memory use does not grow with their number."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select

from context_builder.postmortems.records import StoredPostmortem, page_after, require_writable
from context_builder.question.request import QuestionError
from models import Incident, IncidentStatus, Postmortem, PostmortemCall, Provenance, ReviewStatus
from models.database import Database

_PAGE = 200
_MAX_NAMED = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which incidents a run covers."""

    incidents: Sequence[str] = ()
    """Public ids; empty: all resolved incidents."""
    since: datetime | None = None
    """Only incidents resolved at or after this time."""
    refresh_stale: bool = False
    """True: rewrite drafts whose incident has changed since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostmortemCandidate:
    """An incident that needs a postmortem."""

    incident: str
    """Public id."""
    is_paid: bool = False
    """True if the model's reply is stored already, so that writing costs nothing more."""
    is_in_batch: bool = False
    """True if its call waits for the result of a batch."""
    attempts: int = 0
    """How many batches it has been in."""


def is_needed(stored: StoredPostmortem | None, *, has_model: bool, refresh_stale: bool) -> bool:
    """Return whether a run may write an incident's postmortem and replace what is stored."""
    if stored is None:
        return True
    if stored.is_protected:
        return False
    if stored.model is None and has_model:
        return True
    return refresh_stale and stored.is_stale and (has_model or stored.model is None)


async def candidates(
    database: Database, selection: Selection, *, has_model: bool
) -> AsyncIterator[PostmortemCandidate]:
    """Yield the incidents of a selection that need a postmortem, oldest first.

    A draft that no model wrote is replaced as soon as there is a model. A text that a person wrote, edited or
    decided on is never replaced. Incidents with a paid reply are always included: the reply has to be used.

    Raises:
        QuestionError: an incident of the selection is unknown or not resolved.
    """
    await _require_resolved(database, selection.incidents)
    chosen = (
        select(Incident, Postmortem, PostmortemCall)
        .outerjoin(Postmortem, Postmortem.incident_id == Incident.id)
        .outerjoin(PostmortemCall, PostmortemCall.incident_id == Incident.id)
        .where(
            Incident.status == IncidentStatus.RESOLVED,
            Incident.forgotten_at.is_(None),
            or_(
                Postmortem.id.is_(None),
                PostmortemCall.reply.is_not(None),
                _replaceable(selection, has_model=has_model),
            ),
        )
    )
    if selection.incidents:
        chosen = chosen.where(Incident.public_id.in_(selection.incidents))
    if selection.since is not None:
        chosen = chosen.where(Incident.resolved_at >= selection.since)
    after: tuple[datetime, int] | None = None
    while True:
        async with database.read() as session:
            rows = (await session.execute(page_after(chosen, after, _PAGE))).all()
            found = [(_candidate(incident, call), _stored(incident, row)) for incident, row, call in rows]
        for candidate, stored in found:
            if candidate.is_paid or is_needed(
                stored, has_model=has_model, refresh_stale=selection.refresh_stale
            ):
                yield candidate
        if len(rows) < _PAGE:
            return
        after = rows[-1][0].started_at, rows[-1][0].id


def _candidate(incident: Incident, call: PostmortemCall | None) -> PostmortemCandidate:
    if call is None:
        return PostmortemCandidate(incident=incident.public_id)
    is_paid = call.reply is not None
    return PostmortemCandidate(
        incident=incident.public_id,
        is_paid=is_paid,
        is_in_batch=call.batch_id is not None and not is_paid,
        attempts=call.attempts,
    )


def _stored(incident: Incident, row: Postmortem | None) -> StoredPostmortem | None:
    return None if row is None else StoredPostmortem.of(incident, row)


def _replaceable(selection: Selection, *, has_model: bool) -> ColumnElement[bool]:
    """Narrow the rows down to those that `is_needed` decides on."""
    by_a_run = and_(
        Postmortem.status == ReviewStatus.DRAFT,
        Postmortem.edited_at.is_(None),
        Postmortem.provenance.in_((Provenance.MODEL, Provenance.CODE)),
    )
    if selection.refresh_stale:
        return by_a_run
    return and_(by_a_run, Postmortem.model.is_(None)) if has_model else Postmortem.id.is_(None)


async def _require_resolved(database: Database, incidents: Sequence[str]) -> None:
    if not incidents:
        return
    if len(incidents) > _MAX_NAMED:
        raise QuestionError(f"{len(incidents):,} incidents are named; at most {_MAX_NAMED:,} are accepted")
    async with database.read() as session:
        rows = await session.execute(
            select(Incident.public_id, Incident.status, Incident.forgotten_at).where(
                Incident.public_id.in_(incidents)
            )
        )
        known = {row.public_id: row for row in rows}
    for public_id in incidents:
        if public_id not in known:
            raise QuestionError(f"incident {public_id!r} is not known")
        row = known[public_id]
        is_resolved = row.status == IncidentStatus.RESOLVED
        require_writable(public_id, is_resolved=is_resolved, is_forgotten=row.forgotten_at is not None)
