"""Decisions of a person about an incident and its postmortem: approved or rejected.

Triggers of the database queue the change for memory, in the transaction of the decision.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches

from sqlalchemy import select

from memory.errors import UnknownIncident, UnusableReviewer
from models import Incident, Postmortem, ReviewStatus
from models.audit_chain import AuditRecord
from models.database import Database, WriteSession

MAX_REVIEWER = 200
"""Characters of a reviewer's name."""

_NEAR_NAMES = 5_000
_MAX_SHOWN = 100
# PostgreSQL stores neither NUL nor half of a surrogate pair.
_UNSTORABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Review:
    """The effect of a decision on one incident."""

    public_id: str
    changed: bool
    """False if the same had been decided before; its reviewer stays on record."""
    has_postmortem: bool


async def approve(database: Database, *public_ids: str, by: str, at: datetime) -> tuple[Review, ...]:
    """Approve the incidents and their postmortems for recall; all of them, or none.

    `by` is the reviewer, `at` an aware moment. Raises UnusableReviewer, and UnknownIncident, also for a
    forgotten incident; its message suggests similar ids.
    """
    return await _decide(database, public_ids, ReviewStatus.APPROVED, by=by, at=at)


async def reject(database: Database, *public_ids: str, by: str, at: datetime) -> tuple[Review, ...]:
    """Keep the incidents and their postmortems out of memory. Otherwise as `approve`."""
    return await _decide(database, public_ids, ReviewStatus.REJECTED, by=by, at=at)


async def _decide(
    database: Database, public_ids: Sequence[str], decision: ReviewStatus, *, by: str, at: datetime
) -> tuple[Review, ...]:
    _check_reviewer(by)
    wanted = list(dict.fromkeys(public_ids))
    async with database.write() as session:
        incidents = await _locked(session, wanted)
        postmortems = await session.scalars(
            select(Postmortem)
            .where(Postmortem.incident_id.in_([incident.id for incident in incidents.values()]))
            .order_by(Postmortem.id)
            .with_for_update()
        )
        by_incident = {postmortem.incident_id: postmortem for postmortem in postmortems}
        made = tuple(
            _record(incidents[name], by_incident.get(incidents[name].id), decision, by=by, at=at)
            for name in wanted
        )
        session.audited += [_audit_record(each, decision, by) for each in made]
    return made


def _audit_record(review: Review, decision: ReviewStatus, by: str) -> AuditRecord:
    action = "approve" if decision is ReviewStatus.APPROVED else "reject"
    return AuditRecord(action=action, subject=review.public_id, detail={"by": by, "changed": review.changed})


def _record(
    incident: Incident, postmortem: Postmortem | None, decision: ReviewStatus, *, by: str, at: datetime
) -> Review:
    """Change only what differs: memory processes every row that is written, changed or not."""
    changed = incident.review != decision
    if changed:
        incident.review = decision
    # A status set by an import is not a decision of a person.
    if postmortem is not None and (postmortem.status != decision or postmortem.reviewed_by is None):
        postmortem.status = decision
        postmortem.reviewed_at = at
        postmortem.reviewed_by = by
        changed = True
    return Review(incident.public_id, changed, postmortem is not None)


async def _locked(session: WriteSession, public_ids: Sequence[str]) -> dict[str, Incident]:
    """Return the incidents by public id, locked in a fixed order. Raises UnknownIncident."""
    storable = [name for name in public_ids if not _UNSTORABLE.search(name)]
    rows = await session.scalars(
        select(Incident).where(Incident.public_id.in_(storable)).order_by(Incident.id).with_for_update()
    )
    found = {row.public_id: row for row in rows}
    for name in public_ids:
        if name not in found:
            raise UnknownIncident(await _unknown(session, name))
        if found[name].forgotten_at is not None:
            raise UnknownIncident(f"incident {name!r} was forgotten; there is nothing left to review")
    return found


async def _unknown(session: WriteSession, name: str) -> str:
    """Return the message for an unknown id, with similar ids."""
    recent = await session.scalars(
        select(Incident.public_id)
        .where(Incident.forgotten_at.is_(None))
        .order_by(Incident.started_at.desc())
        .limit(_NEAR_NAMES)
    )
    known = recent.all()
    shown = name[:_MAX_SHOWN]
    similar = get_close_matches(shown, known, n=3, cutoff=0.6) or sorted(known)[:3]
    hint = f"; known names include {', '.join(similar)}" if similar else "; none is known yet"
    return f"incident {shown!r} is not known{hint}"


def _check_reviewer(by: str) -> None:
    if not by.strip() or len(by) > MAX_REVIEWER or _UNSTORABLE.search(by):
        raise UnusableReviewer(
            f"{by[:40]!r} cannot be a reviewer; accepted are 1 to {MAX_REVIEWER} characters of plain text"
        )
