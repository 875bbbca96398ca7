"""One resolved incident becomes one postmortem: claimed, built, written by one call, and stored.

Each step is in the journal before the next one begins. What a killed process had paid for is there when the
next one claims the incident, which then writes the document from plan and reply without another call.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from context_builder.answer.answer import Answer
from context_builder.answer.brief import write_brief
from context_builder.answer.question_log import QuestionLog
from context_builder.answering import Answerer, DraftAnswer
from context_builder.errors import ContextBuilderError
from context_builder.llm.chat_model import ChatModel, ModelUnavailable, Reply
from context_builder.postmortems.candidates import Candidate, Selection, candidates, is_wanted
from context_builder.postmortems.document import Document, instruction, write_document
from context_builder.postmortems.findings import LEAD_IN, read_findings
from context_builder.postmortems.incident_digest import incident_digest
from context_builder.postmortems.journal import Call, CallJournal, CallLost, PaidReply, Plan
from context_builder.postmortems.records import PostmortemRecords, PostmortemText
from context_builder.postmortems.spending import Reservation, Spending
from context_builder.postmortems.template import DEFAULT, Template, load_template
from context_builder.prompt.prompt import Prompt
from context_builder.prompt.render import render
from context_builder.question.request import QuestionError, QuestionInput, ScopeNames
from context_builder.text.clock import utc_now
from models import Incident, Postmortem, Provenance
from models.database import Database, ReadSession
from models.errors import DatabaseError

_T = TypeVar("_T")

log = structlog.get_logger(__name__)

_TRIED_AGAIN_S = (1.0, 3.0, 9.0)
"""Waits between tries to store a reply."""


class PostmortemFailed(ContextBuilderError):
    """No postmortem was written; the message says why. Nothing is stored, the next run tries again."""


class NotWanted(PostmortemFailed):
    """There is nothing to do: another run writes it, or it has been written, or a person has."""


class PostmortemWriter:
    """Writes postmortems of resolved incidents."""

    def __init__(
        self,
        database: Database,
        answerer: Answerer,
        questions: QuestionLog,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.journal = CallJournal(database)
        self.records = PostmortemRecords(database, clock=clock)
        self._database = database
        self._answerer = answerer
        self._questions = questions
        self._clock = clock

    @property
    def has_model(self) -> bool:
        """Whether a model is configured; without one the records alone fill the sections."""
        return self._answerer.model is not None

    @property
    def least_worst_case(self) -> Decimal:
        """What the worst case of any call is at the least, in US dollars: its output."""
        model = self._answerer.model
        return Decimal(0) if model is None else self._worst_case(model, 0)

    def candidates(self, selection: Selection) -> AsyncIterator[Candidate]:
        """The incidents of a selection that want a postmortem, read by pages."""
        return candidates(self._database, selection, has_model=self.has_model)

    async def pending(self, selection: Selection | None = None) -> tuple[str, ...]:
        """Public ids of the incidents that `candidates` gives, all at once."""
        return tuple([each.incident async for each in self.candidates(selection or Selection())])

    async def written(
        self, incidents: Sequence[str] = (), *, since: datetime | None = None
    ) -> tuple[PostmortemText, ...]:
        """What `records.all` gives, all at once."""
        return tuple([text async for text in self.records.all(incidents, since=since)])

    async def write(
        self,
        public_id: str,
        *,
        template: Template | None = None,
        spending: Spending | None = None,
        refresh_stale: bool = False,
    ) -> PostmortemText:
        """Writes and stores the postmortem of one resolved incident, or finishes one that was begun.

        Raises QuestionError for an unknown incident, NotWanted where there is nothing to do, CapReached when
        the call does not fit into `spending`, and PostmortemFailed when a model gives no whole text.
        """
        call = await self.claim(public_id, refresh_stale=refresh_stale)
        try:
            async with self.journal.held([call]):
                if call.reply is None:
                    call = await self._replied(call, template, spending or Spending())
                elif call.plan is None:
                    call = await self.build(call, template)
                return await self.finish(call)
        except CallLost as error:
            raise NotWanted(str(error)) from None
        except BaseException:
            await self.give_back(call)
            raise

    async def claim(self, public_id: str, *, refresh_stale: bool = False) -> Call:
        """The incident's call, held by this process; with its reply where that has arrived before.

        Raises QuestionError for an unknown incident, PostmortemFailed for one that is not resolved, and
        NotWanted where another run works on it or there is nothing to do.
        """
        async with self._database.read() as session:
            incident_id = await session.scalar(select(Incident.id).where(Incident.public_id == public_id))
        if incident_id is None:
            raise QuestionError(f"incident {public_id!r} is not known")
        call = await self.journal.claim(incident_id)
        if call is None:
            if await self.journal.is_in_batch(incident_id):
                raise NotWanted("its batch is under way; `arcpoint postmortem --batch-api` collects it")
            raise NotWanted("another run is writing it")
        if call.reply is not None:
            return call
        try:
            # Only now: until the claim another run may have written it.
            await self._require_wanted(incident_id, refresh_stale=refresh_stale)
        except BaseException:
            await self.give_back(call)
            raise
        return call

    async def _require_wanted(self, incident_id: int, *, refresh_stale: bool) -> None:
        async with self._database.read() as session:
            incident = await _resolved(session, incident_id)
            row = await session.scalar(select(Postmortem).where(Postmortem.incident_id == incident_id))
            stored = None if row is None else PostmortemText.of(incident, row)
        if not is_wanted(stored, has_model=self.has_model, refresh_stale=refresh_stale):
            protected = stored is not None and stored.is_protected
            raise NotWanted("a person has written it" if protected else "it has been written already")

    async def give_back(self, call: Call) -> None:
        """Lets the next run have a call that this one does not finish; a reply stays with it."""
        # A database that cannot be reached gives it back by itself: the lease runs out.
        with suppress(SQLAlchemyError, OSError, DatabaseError):
            await completed(self.journal.release(call))

    async def build(self, call: Call, template: Template | None = None, *, batch: bool = False) -> Call:
        """The call with its plan, whose manifest renders to the prompt, and the most that it can cost.

        Raises PostmortemFailed for an incident that is not resolved (any more), and CallLost.
        """
        if template is None:
            template = await asyncio.to_thread(load_template, DEFAULT)
        async with self._database.read() as session:
            incident = await _resolved(session, call.incident_id)
        built = await self._answerer.builder.build(_ask(incident, template))
        plan = Plan(manifest=built.manifest, template=template, incident_digest=incident_digest(incident))
        model = self._answerer.model
        worst = Decimal(0) if model is None else self._worst_case(model, built.manifest.token_bound)
        return await self.journal.built(
            call, plan, worst * (self._answerer.prices.batch_share if batch else 1)
        )

    def _worst_case(self, model: ChatModel, input_bound: int) -> Decimal:
        return self._answerer.prices.worst_case(model.model, input_bound, model.max_output_tokens)

    async def _replied(self, call: Call, template: Template | None, spending: Spending) -> Call:
        """The call with its plan and, where there is a model, its reply, which is in the journal."""
        model = self._answerer.model
        if model is None:
            return await self.build(call, template)
        # Building takes much longer than finding out that nothing can fit any more.
        spending.require(self.least_worst_case)
        call = await self.build(call, template)
        async with spending.reserved_for(call.worst_cost_usd) as reservation:
            return await self._paid(model, call, reservation)

    async def _paid(self, model: ChatModel, call: Call, reservation: Reservation) -> Call:
        try:
            call = await self.journal.sent(call)
        except BaseException:
            reservation.settle(Decimal(0))
            raise
        try:
            reply = await _reply_of(model, await asyncio.to_thread(render, _plan(call).manifest))
        except ModelUnavailable as error:
            raise await self._failed(model, call, error, reservation) from None
        prices = self._answerer.prices
        # A name that the list does not know must not cost more than what was asked for, and set aside.
        cost = prices.cost(reply.model if prices.is_known(reply.model) else model.model, reply.usage)
        reservation.settle(cost)
        paid = PaidReply(reply=reply, cost_usd=cost)
        kept = await completed(self._kept(call, paid))
        self._answerer.builder.calibration.learn(_plan(call).manifest, reply.usage.prompt_tokens)
        if kept is None:
            answer = await asyncio.to_thread(self._answer, replace(call, reply=paid))
            await self._questions.record(answer, asker=None, asked_at=self._clock())
            raise NotWanted("another run has just written it")
        return kept

    async def _kept(self, call: Call, paid: PaidReply) -> Call | None:
        """Stores the reply, again where a database is away for a moment: it is paid for."""
        for wait_s in _TRIED_AGAIN_S:
            try:
                return await self.journal.replied(call, paid)
            except (SQLAlchemyError, OSError) as error:
                log.warning("reply not stored yet", call=call.custom_id, error=str(error).splitlines()[0])
                await asyncio.sleep(wait_s)
        return await self.journal.replied(call, paid)

    async def _failed(
        self, model: ChatModel, call: Call, error: ModelUnavailable, reservation: Reservation
    ) -> PostmortemFailed:
        """Counts the most that a call can have cost that gave no whole reply, and logs what was reported."""
        manifest = _plan(call).manifest
        if error.usage is not None:
            prices, usage = self._answerer.prices, error.usage
            # What was reported is all of the input, but not the output since: for that the worst is counted.
            most = replace(usage, output_tokens=max(usage.output_tokens, model.max_output_tokens))
            reservation.settle(prices.cost(model.model, most))
            cost = prices.cost(model.model, usage)
            brief = write_brief(manifest, error.reason, called=True)
            written = DraftAnswer(brief, None, error.reason, None, error.usage)
            answer = await asyncio.to_thread(self._answerer.check, manifest, written, 0, cost_usd=cost)
            await self._questions.record(answer, asker=None, asked_at=self._clock())
        elif error.refused:
            reservation.settle(Decimal(0))
        return PostmortemFailed(error.reason)

    async def finish(self, call: Call) -> PostmortemText:
        """Writes the document from plan and reply, and ends the call, in one transaction.

        Raises PostmortemFailed when the reply is not whole, and NotWanted when the incident has been written
        or changed by a person meanwhile; a reply is in the question log then, with what it cost.
        """
        async with self._database.read() as session:
            incident = await session.get_one(Incident, call.incident_id)
            resolved_at = incident.resolved_at
            findings = None if resolved_at is None else await read_findings(session, incident, resolved_at)
        answer = await asyncio.to_thread(self._answer, call)
        document = None
        if findings is not None and (answer.model is None or answer.stop_reason == "end_turn"):
            document = await asyncio.to_thread(write_document, _plan(call).template, findings, answer)
        return await self._store(call, answer, document)

    def _answer(self, call: Call) -> Answer:
        """The reply, or the brief where no model was called, checked against the facts. Blocks."""
        manifest = _plan(call).manifest
        if call.reply is None:
            reason = self._answerer.no_model_reason
            return self._answerer.check(manifest, DraftAnswer(write_brief(manifest, reason), None, reason), 0)
        reply = call.reply.reply
        written = DraftAnswer(reply.text, reply.model, None, reply.stop_reason, reply.usage)
        return self._answerer.check(manifest, written, reply.latency_ms, cost_usd=call.reply.cost_usd)

    async def _store(self, call: Call, answer: Answer, document: Document | None) -> PostmortemText:
        """One transaction: the question log, the postmortem where it may be, and the end of the call."""
        now = self._clock()
        async with self._database.write() as session:
            if not await self.journal.finish_in(session, call):
                raise NotWanted("another run has just written it")
            question_id = await self._questions.record_in(session, answer, asker=None, asked_at=now)
            incident = await session.scalar(
                select(Incident).where(Incident.id == call.incident_id).with_for_update()
            )
            row = await session.scalar(
                select(Postmortem).where(Postmortem.incident_id == call.incident_id).with_for_update()
            )
            refusal = _refusal(incident, row, answer)
            if refusal is None and incident is not None and document is not None:
                row = row or Postmortem(incident_id=call.incident_id)
                _fill(row, _plan(call), answer, document)
                row.question_id, row.created_at = question_id, now
                session.add(row)
                await session.flush()
                return PostmortemText.of(incident, row)
        raise refusal or PostmortemFailed("the incident has changed meanwhile")


def _refusal(incident: Incident | None, row: Postmortem | None, answer: Answer) -> PostmortemFailed | None:
    """Why nothing is stored but the question; None: nothing speaks against it."""
    if incident is None or incident.resolved_at is None or incident.forgotten_at is not None:
        return PostmortemFailed("the incident is not resolved any more")
    if answer.model is not None and answer.stop_reason == "max_tokens":
        remedy = "raise ARCPOINT_MAX_OUTPUT_TOKENS or take a shorter template"
        return PostmortemFailed(f"the model had no room for the whole text; {remedy}")
    if answer.model is not None and answer.stop_reason != "end_turn":
        return PostmortemFailed(f"the model stopped early ({answer.stop_reason})")
    if row is not None and PostmortemText.of(incident, row).is_protected:
        return NotWanted(
            f"a person has changed it meanwhile; the model's text is in the question log ({answer.id})"
        )
    return None


def _fill(row: Postmortem, plan: Plan, answer: Answer, document: Document) -> None:
    row.provenance = Provenance.MODEL if answer.model else Provenance.CODE
    row.markdown, row.summary = document.markdown, document.summary
    row.root_cause, row.resolution = document.root_cause, document.resolution
    row.template, row.incident_digest = plan.template.name, plan.incident_digest
    row.model, row.cost_usd = answer.model, answer.cost_usd


def _plan(call: Call) -> Plan:
    if call.plan is None:
        raise ValueError("the call has not been built")
    return call.plan


def _ask(incident: Incident, template: Template) -> QuestionInput:
    """The incident's own time, asked about at the moment it was over."""
    # An archive may hold the first day of the calendar.
    earliest = datetime.min.replace(tzinfo=UTC) + LEAD_IN
    return QuestionInput(
        question=instruction(incident, template),
        as_of=incident.resolved_at,
        since=max(incident.started_at, earliest) - LEAD_IN,
        until=incident.resolved_at,
        scope=ScopeNames(incidents=(incident.public_id,)),
    )


async def _resolved(session: ReadSession, incident_id: int) -> Incident:
    incident = await session.get_one(Incident, incident_id)
    if incident.resolved_at is None or incident.forgotten_at is not None:
        raise PostmortemFailed(f"incident {incident.public_id} is not resolved")
    return incident


async def _reply_of(model: ChatModel, prompt: Prompt) -> Reply:
    async with aclosing(model.stream(prompt)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Reply):
                return piece
    raise AssertionError("the stream ends with a reply")


async def completed(work: Coroutine[Any, Any, _T]) -> _T:
    """Sees the work through to its end, also when the task that waits for it is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
