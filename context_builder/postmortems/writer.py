"""One resolved incident becomes one postmortem: built, written by one call, and stored in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.exc import IntegrityError

from context_builder.answer import Answer
from context_builder.answering import Answerer
from context_builder.builder import utc_now
from context_builder.postmortems.document import instruction, summary_of, write_document
from context_builder.question_log import QuestionLog
from context_builder.request import Ask, QuestionError, ScopeNames
from models import Incident, IncidentStatus, Postmortem, Provenance, ReviewStatus
from models.database import Database, WriteSession

LEAD_IN = timedelta(minutes=30)
"""The window begins this long before the incident, to hold what led to it."""


class PostmortemFailed(Exception):
    """No postmortem was written; the message says why. Nothing is stored, the next run tries again."""


@dataclass(frozen=True, slots=True)
class PostmortemText:
    """A stored postmortem."""

    incident: str
    """Public id."""
    markdown: str
    model: str | None
    cost_usd: Decimal
    created_at: datetime


class PostmortemWriter:
    """Writes and keeps postmortems of resolved incidents."""

    def __init__(
        self,
        database: Database,
        answerer: Answerer,
        questions: QuestionLog,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._database = database
        self._answerer = answerer
        self._questions = questions
        self._clock = clock

    async def pending(
        self, *, incidents: Sequence[str] = (), since: datetime | None = None
    ) -> tuple[str, ...]:
        """Public ids of resolved incidents that still want a postmortem, oldest first.

        A draft that no model wrote counts as wanting one as soon as there is a model. `incidents` restricts
        the choice to these; raises QuestionError when one is unknown or not resolved.
        """
        await self._require_resolved(incidents)
        unwritten: ColumnElement[bool] = Postmortem.id.is_(None)
        if self._answerer.has_model:
            by_nobody = and_(Postmortem.model.is_(None), Postmortem.status == ReviewStatus.DRAFT)
            unwritten = or_(unwritten, by_nobody)
        statement = (
            select(Incident.public_id)
            .outerjoin(Postmortem, Postmortem.incident_id == Incident.id)
            .where(Incident.status == IncidentStatus.RESOLVED, unwritten)
            .order_by(Incident.started_at, Incident.id)
        )
        if incidents:
            statement = statement.where(Incident.public_id.in_(incidents))
        if since is not None:
            statement = statement.where(Incident.resolved_at >= since)
        async with self._database.read() as session:
            return tuple(await session.scalars(statement))

    async def _require_resolved(self, incidents: Sequence[str]) -> None:
        if not incidents:
            return
        async with self._database.read() as session:
            rows = await session.execute(
                select(Incident.public_id, Incident.status).where(Incident.public_id.in_(incidents))
            )
            known = {row.public_id: row.status for row in rows}
        for public_id in incidents:
            if public_id not in known:
                raise QuestionError(f"incident {public_id!r} is not known")
            if known[public_id] != IncidentStatus.RESOLVED:
                raise QuestionError(f"incident {public_id!r} is still active; a postmortem follows its end")

    async def write(self, public_id: str) -> PostmortemText:
        """Writes and stores the postmortem of one resolved incident.

        The model's answer and the postmortem are committed together, so an answer that arrived is never
        paid for twice. Raises PostmortemFailed when a configured model gives no whole text.
        """
        async with self._database.read() as session:
            incident = await session.scalar(select(Incident).where(Incident.public_id == public_id))
        if incident is None or incident.resolved_at is None:
            raise PostmortemFailed(f"incident {public_id} is not resolved")
        asked_at = self._clock()
        answer = await self._answerer.answer(_ask(incident, incident.resolved_at), record=False)
        if self._answerer.has_model and answer.model is None:
            raise PostmortemFailed(answer.no_model_reason or "the model gave no answer")
        if answer.model is not None and answer.stop_reason != "end_turn":
            raise PostmortemFailed(f"the model stopped early ({answer.stop_reason})")
        markdown = write_document(incident, incident.resolved_at, answer)
        await self._store(incident.id, answer, markdown, asked_at)
        return PostmortemText(public_id, markdown, answer.model, answer.cost_usd, asked_at)

    async def _store(self, incident_id: int, answer: Answer, markdown: str, asked_at: datetime) -> None:
        """Replaces a draft that no model wrote; what a model or a person wrote stays."""
        postmortem = Postmortem(
            incident_id=incident_id,
            provenance=Provenance.MODEL if answer.model else Provenance.CODE,
            markdown=markdown,
            summary=summary_of(markdown),
            model=answer.model,
            cost_usd=answer.cost_usd,
            created_at=asked_at,
        )
        try:
            async with self._database.write() as session:
                postmortem.question_id = await self._questions.record_in(
                    session, answer, asker=None, asked_at=asked_at
                )
                stored = await _replace(session, postmortem)
        except IntegrityError:
            await self._questions.record(answer, asker=None, asked_at=asked_at)
            stored = False
        if not stored:
            raise PostmortemFailed("another run has just written it")

    async def written(
        self, incidents: Sequence[str] = (), *, since: datetime | None = None
    ) -> tuple[PostmortemText, ...]:
        """The stored postmortems of the incidents that `pending` chooses from, oldest incident first."""
        statement = (
            select(Incident.public_id, Postmortem)
            .join(Postmortem, Postmortem.incident_id == Incident.id)
            .order_by(Incident.started_at, Incident.id)
        )
        if incidents:
            statement = statement.where(Incident.public_id.in_(incidents))
        if since is not None:
            statement = statement.where(Incident.resolved_at >= since)
        async with self._database.read() as session:
            rows = await session.execute(statement)
            return tuple(
                PostmortemText(public_id, row.markdown, row.model, row.cost_usd, row.created_at)
                for public_id, row in rows
            )


def _ask(incident: Incident, resolved_at: datetime) -> Ask:
    """The incident's own time, asked about at the moment it was over."""
    return Ask(
        question=instruction(incident),
        as_of=resolved_at,
        since=incident.started_at - LEAD_IN,
        until=resolved_at,
        scope=ScopeNames(incidents=(incident.public_id,)),
    )


async def _replace(session: WriteSession, postmortem: Postmortem) -> bool:
    """Puts a postmortem in the place of none or of a draft by nobody; whether it could."""
    existing = await session.scalar(
        select(Postmortem).where(Postmortem.incident_id == postmortem.incident_id).with_for_update()
    )
    if existing is not None:
        if existing.model is not None or existing.status != ReviewStatus.DRAFT:
            return False
        await session.delete(existing)
        await session.flush()
    session.add(postmortem)
    return True
