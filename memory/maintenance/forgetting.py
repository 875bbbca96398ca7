"""Erases the texts of incidents from the database; ids, times and figures stay."""

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
from models.audit_chain import AuditRecord
from models.database import Database, WriteSession

ERASED = "[forgotten]"
"""Replaces a text."""

_MIN_TITLE = 12
"""Characters; a shorter title may be an everyday word, and is found beside the id anyway."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was erased of one incident."""

    incident: str
    postmortem: bool
    questions: int
    """Logged questions whose prompt or answer quoted it; their replay is no longer byte-identical."""


async def erase(database: Database, incidents: Sequence[str], *, at: datetime) -> tuple[Forgotten, ...]:
    """Erase the texts of all these incidents in one transaction, or of none. Idempotent.

    SQLite's files lose the texts, too; PostgreSQL's lose them when it vacuums. Raises UnknownIncident.
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
        session.audited += [
            AuditRecord(action="forget", subject=each.incident, detail={"questions": each.questions})
            for each in forgotten
        ]
    await database.checkpoint()
    return forgotten


async def _erase(session: WriteSession, incident: Incident, at: datetime) -> Forgotten:
    phrases = [incident.public_id]
    if len(incident.title) >= _MIN_TITLE and incident.title != ERASED:
        phrases.append(incident.title)
    questions = await _erase_from_questions(session, phrases)
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


async def _erase_from_questions(session: WriteSession, phrases: Sequence[str]) -> int:
    """Erase every text of the question log that contains one of the phrases; return how many questions."""
    ids = (await session.scalars(select(Question.id).where(_containing(phrases)))).all()
    for question_id in ids:
        question = await session.get_one(Question, question_id)
        question.manifest = _without(question.manifest, phrases)
        question.question = _without(question.question, phrases)
        # The answer may paraphrase the facts.
        question.answer = ERASED
        await session.flush()
        session.expunge(question)  # the log may be long
    return len(ids)


def _containing(phrases: Sequence[str]) -> ColumnElement[bool]:
    """Return the condition for questions that contain one of the phrases, also where JSON escapes it."""
    manifest = cast(Question.manifest, Text)
    escaped = {json.dumps(each)[1:-1] for each in phrases}
    return or_(
        *(manifest.contains(each, autoescape=True) for each in sorted(escaped | set(phrases))),
        *(Question.answer.contains(each, autoescape=True) for each in phrases),
        *(Question.question.contains(each, autoescape=True) for each in phrases),
    )


def _without(document: Any, phrases: Sequence[str]) -> Any:
    """Return a JSON document with every text erased that contains one of the phrases."""
    if isinstance(document, str):
        return ERASED if any(each in document for each in phrases) else document
    if isinstance(document, list):
        return [_without(each, phrases) for each in document]
    if isinstance(document, dict):
        return {key: _without(value, phrases) for key, value in document.items()}
    return document
