"""Erases what the database holds of an incident's words; ids, times and figures stay."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, delete, or_, select, text, update

from memory.errors import UnknownIncident
from models import (
    Incident,
    MemoryEntry,
    Notification,
    Postmortem,
    PostmortemCall,
    Question,
    ReviewStatus,
)
from models.database import Database, WriteSession

ERASED = "[forgotten]"
"""Stands where a text was."""

_TELLING_TITLE = 12
"""Characters; a shorter title may be a word of everyday use, and is found beside the id anyhow."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was erased of one incident."""

    incident: str
    postmortem: bool
    questions: int
    """Logged questions whose prompt or answer quoted it; those can no longer be replayed word for word."""


async def erase(database: Database, incidents: Sequence[str], *, at: datetime) -> tuple[Forgotten, ...]:
    """Erases the texts of all these incidents in one transaction, or of none.

    Raises UnknownIncident. Erasing again is harmless. SQLite's files are rid of the words, too; PostgreSQL
    lets go of them when it vacuums.
    """
    async with database.write() as session:
        rows = await session.scalars(
            select(Incident).where(Incident.public_id.in_(incidents)).order_by(Incident.id).with_for_update()
        )
        found = {row.public_id: row for row in rows}
        for public_id in incidents:
            if public_id not in found:
                raise UnknownIncident(f"incident {public_id!r} is not known; nothing was changed")
        if database.is_sqlite:
            await session.execute(text("PRAGMA secure_delete = ON"))
        forgotten = tuple([await _erase(session, found[name], at) for name in dict.fromkeys(incidents)])
    await database.checkpoint()
    return forgotten


async def _erase(session: WriteSession, incident: Incident, at: datetime) -> Forgotten:
    telling = [incident.public_id]
    if len(incident.title) >= _TELLING_TITLE and incident.title != ERASED:
        telling.append(incident.title)
    questions = await _erase_from_questions(session, telling)
    incident.title = ERASED
    incident.symptoms = ""
    incident.root_cause = incident.resolution = None
    incident.review = ReviewStatus.REJECTED
    incident.forgotten_at = incident.forgotten_at or at
    await session.execute(delete(MemoryEntry).where(MemoryEntry.incident_id == incident.id))
    await session.execute(delete(PostmortemCall).where(PostmortemCall.incident_id == incident.id))
    written = await session.scalars(
        delete(Postmortem).where(Postmortem.incident_id == incident.id).returning(Postmortem.id)
    )
    await session.execute(
        update(Notification).where(Notification.incident_id == incident.id).values(subject=ERASED, error=None)
    )
    return Forgotten(incident.public_id, postmortem=bool(written.all()), questions=questions)


async def _erase_from_questions(session: WriteSession, telling: Sequence[str]) -> int:
    """Takes every text that holds one of some words out of the question log."""
    ids = (await session.scalars(select(Question.id).where(_holding(telling)))).all()
    for question_id in ids:
        question = await session.get_one(Question, question_id)
        question.manifest = _without(question.manifest, telling)
        question.question = _without(question.question, telling)
        # The answer may tell in other words what the facts said.
        question.answer = ERASED
        await session.flush()
        session.expunge(question)  # the log may be long
    return len(ids)


def _holding(telling: Sequence[str]) -> ColumnElement[bool]:
    """Questions whose prompt or answer holds one of the words, also where JSON has escaped it."""
    manifest = cast(Question.manifest, Text)
    escaped = {json.dumps(each)[1:-1] for each in telling}
    return or_(
        *(manifest.contains(each, autoescape=True) for each in sorted(escaped | set(telling))),
        *(Question.answer.contains(each, autoescape=True) for each in telling),
        *(Question.question.contains(each, autoescape=True) for each in telling),
    )


def _without(document: Any, telling: Sequence[str]) -> Any:
    """A JSON document with every text that holds one of the words erased."""
    if isinstance(document, str):
        return ERASED if any(each in document for each in telling) else document
    if isinstance(document, list):
        return [_without(each, telling) for each in document]
    if isinstance(document, dict):
        return {key: _without(value, telling) for key, value in document.items()}
    return document
