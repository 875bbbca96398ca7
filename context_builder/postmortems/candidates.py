"""Which incidents want a postmortem, found by pages so that memory does not grow with their number."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select

from context_builder.postmortems.records import PostmortemText, page_after
from context_builder.question.request import QuestionError
from models import Incident, IncidentStatus, Postmortem, PostmortemCall, Provenance, ReviewStatus
from models.database import Database

_PAGE = 200
_MAX_NAMES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which incidents are meant, and what of them is to be written anew."""

    incidents: Sequence[str] = ()
    """Public ids; empty: all that are resolved."""
    since: datetime | None = None
    """Only incidents that were resolved from then on."""
    refresh_stale: bool = False
    """Whether drafts are written anew whose incident has changed since."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An incident that wants a postmortem."""

    incident: str
    """Public id."""
    is_paid: bool = False
    """Whether the model's reply is there already, so that writing costs nothing more."""


def is_wanted(stored: PostmortemText | None, *, has_model: bool, refresh_stale: bool) -> bool:
    """Whether a run may write an incident's postmortem, in the place of what there is."""
    if stored is None:
        return True
    if stored.is_protected:
        return False
    if stored.model is None and has_model:
        return True
    return refresh_stale and stored.is_stale and (has_model or stored.model is None)


async def candidates(
    database: Database, selection: Selection, *, has_model: bool
) -> AsyncIterator[Candidate]:
    """The incidents of a selection that want a postmortem, oldest first.

    A draft that no model wrote counts as wanting one as soon as there is a model. What a person has written,
    edited or decided on never does. Those with a reply that is paid for always do: it is to be put away.
    Raises QuestionError when one of the selection is unknown or not resolved.
    """
    await _require_resolved(database, selection.incidents)
    chosen = (
        select(Incident, Postmortem, PostmortemCall.id)
        .outerjoin(Postmortem, Postmortem.incident_id == Incident.id)
        .outerjoin(
            PostmortemCall,
            and_(PostmortemCall.incident_id == Incident.id, PostmortemCall.reply.is_not(None)),
        )
        .where(
            Incident.status == IncidentStatus.RESOLVED,
            Incident.forgotten_at.is_(None),
            or_(
                Postmortem.id.is_(None),
                PostmortemCall.id.is_not(None),
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
        found = [
            (
                PostmortemText.of(incident, row) if row is not None else None,
                incident.public_id,
                reply is not None,
            )
            for incident, row, reply in rows
        ]
        for stored, public_id, is_paid in found:
            if is_paid or is_wanted(stored, has_model=has_model, refresh_stale=selection.refresh_stale):
                yield Candidate(public_id, is_paid)
        if len(rows) < _PAGE:
            return
        after = rows[-1][0].started_at, rows[-1][0].id


def _replaceable(selection: Selection, *, has_model: bool) -> ColumnElement[bool]:
    """Narrows the rows down to those that `is_wanted` decides on."""
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
    if len(incidents) > _MAX_NAMES:
        raise QuestionError(f"{len(incidents):,} incidents are named; at most {_MAX_NAMES:,} are accepted")
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
        if known[public_id].status != IncidentStatus.RESOLVED:
            raise QuestionError(f"incident {public_id!r} is still active; a postmortem follows its end")
        if known[public_id].forgotten_at is not None:
            raise QuestionError(f"incident {public_id!r} was forgotten; nothing is written of it any more")
