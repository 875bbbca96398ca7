"""Write the postmortem of one resolved incident: claim it, build its prompt, make a call, store the text.

Each step is in the journal before the next one begins. What a killed process had paid for is there when the
next one claims the incident; it then writes the document from plan and reply without another call.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from context_builder.answer.answer import Answer
from context_builder.answer.brief import write_brief
from context_builder.answer.question_log import QuestionLog, audit_detail
from context_builder.answering import Answerer, DraftAnswer
from context_builder.errors import ContextBuilderError
from context_builder.jobs.completion import completed
from context_builder.jobs.lease import LeaseLost
from context_builder.llm.chat_model import ModelUnavailable, Reply
from context_builder.llm.paid_model import PaidCall, PaidModel
from context_builder.postmortems.candidates import PostmortemCandidate, Selection, candidates, is_needed
from context_builder.postmortems.document import PostmortemDocument, postmortem_question, write_document
from context_builder.postmortems.findings import LEAD_IN, load_findings, redacted_findings
from context_builder.postmortems.incident_digest import incident_digest
from context_builder.postmortems.journal import CallJournal, ClaimedCall, DocumentPlan, PaidReply
from context_builder.postmortems.records import PostmortemRecords, StoredPostmortem
from context_builder.postmortems.template import DEFAULT, Template, load_template
from context_builder.prompt.manifest import Manifest
from context_builder.prompt.prompt import Prompt
from context_builder.prompt.render import render
from context_builder.question.request import QuestionError, QuestionInput, ScopeNames
from context_builder.spend.accounts import Payer
from context_builder.spend.ledger import SpendLedger
from context_builder.text.clock import utc_now
from models import AuditOutcome, Incident, Postmortem, PostmortemCall, Provenance
from models.audit_chain import AuditRecord
from models.database import Database, ReadSession
from models.errors import DatabaseError

log = structlog.get_logger(__name__)

ANYBODY = Payer()
"""Only the installation pays."""
_RETRY_DELAYS_S = (1.0, 3.0, 9.0)
"""Waits between attempts to store a reply."""


class PostmortemFailed(ContextBuilderError):
    """No postmortem was written; the message says why. Nothing is stored, and the next run tries again."""


class NothingToDo(PostmortemFailed):
    """Another run is writing the postmortem, it exists already, or a person wrote it."""


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
        self._ledger = SpendLedger(database)
        self._answerer = answerer
        self._questions = questions
        self._clock = clock

    @property
    def has_model(self) -> bool:
        """True if a model is configured; without one the records alone fill the sections."""
        return self._answerer.model is not None

    @property
    def min_worst_cost_usd(self) -> Decimal:
        """The smallest worst case that any call can have: that of its output, in US dollars."""
        model = self._answerer.model
        return Decimal(0) if model is None else model.worst_case(0)

    async def require_room(self, payer: Payer) -> None:
        """Check that the cheapest call could fit, if there is a model. Raises CapReached."""
        if self.has_model:
            await self._ledger.require(self.min_worst_cost_usd, payer)

    def candidates(self, selection: Selection) -> AsyncIterator[PostmortemCandidate]:
        """Yield the incidents of a selection that need a postmortem, read by pages."""
        return candidates(self._database, selection, has_model=self.has_model)

    async def pending(self, selection: Selection | None = None) -> tuple[str, ...]:
        """Return the public ids of all `candidates`."""
        return tuple([each.incident async for each in self.candidates(selection or Selection())])

    async def write(
        self,
        public_id: str,
        *,
        template: Template | None = None,
        payer: Payer = ANYBODY,
        refresh_stale: bool = False,
    ) -> StoredPostmortem:
        """Write and store the postmortem of one resolved incident, or finish one that was begun.

        Raises:
            QuestionError: the incident is unknown.
            NothingToDo: another run is writing it, it exists already, or a person wrote it.
            CapReached: the call does not fit under a cap.
            PostmortemFailed: the model gave no complete text.
        """
        call = await self.claim(public_id, refresh_stale=refresh_stale)
        try:
            async with self.journal.held(PostmortemCall.id == call.id):
                if call.reply is None:
                    call = await self._replied(call, template, payer)
                elif call.plan is None:
                    call = await self.build(call, template)
                return await self.finish(call)
        except LeaseLost as error:
            raise NothingToDo(str(error)) from None
        except BaseException:
            await self.release(call)
            raise

    async def claim(self, public_id: str, *, refresh_stale: bool = False) -> ClaimedCall:
        """Claim an incident's call for this process, with its reply if one has been stored before.

        Raises:
            QuestionError: the incident is unknown.
            NothingToDo: another run works on it, it exists already, or a person wrote it.
            PostmortemFailed: the incident is not resolved.
        """
        async with self._database.read() as session:
            incident_id = await session.scalar(select(Incident.id).where(Incident.public_id == public_id))
        if incident_id is None:
            raise QuestionError(f"incident {public_id!r} is not known")
        call = await self.journal.claim(incident_id)
        if call is None:
            if await self.journal.is_in_batch(incident_id):
                raise NothingToDo("it is in a batch; `arcpoint postmortem --batch-api` collects it")
            raise NothingToDo("another run is writing it")
        if call.reply is not None:
            return call
        try:
            # Only now: until the claim, another run may have written it.
            await self._require_needed(incident_id, refresh_stale=refresh_stale)
        except BaseException:
            await self.release(call)
            raise
        return call

    async def _require_needed(self, incident_id: int, *, refresh_stale: bool) -> None:
        async with self._database.read() as session:
            incident = await _resolved(session, incident_id)
            row = await session.scalar(select(Postmortem).where(Postmortem.incident_id == incident_id))
            stored = None if row is None else StoredPostmortem.of(incident, row)
        if not is_needed(stored, has_model=self.has_model, refresh_stale=refresh_stale):
            protected = stored is not None and stored.is_protected
            raise NothingToDo("a person wrote it" if protected else "it has been written already")

    async def release(self, call: ClaimedCall) -> None:
        """Let the next run claim a call that this one does not finish; a reply stays with it."""
        # If the database cannot be reached, the call is released when its lease expires.
        with suppress(SQLAlchemyError, OSError, DatabaseError):
            await completed(self.journal.release(call))

    async def build(
        self, call: ClaimedCall, template: Template | None = None, *, batch: bool = False
    ) -> ClaimedCall:
        """Return the call with its plan, whose manifest renders to the prompt, and the most it can cost.

        Raises:
            PostmortemFailed: the incident is not resolved (any more).
            LeaseLost: another process owns the call now.
        """
        if template is None:
            template = await asyncio.to_thread(load_template, DEFAULT)
        async with self._database.read() as session:
            incident = await _resolved(session, call.incident_id)
        built = await self._answerer.builder.build(_question(incident, template))
        plan = DocumentPlan(
            manifest=built.manifest, template=template, incident_digest=incident_digest(incident)
        )
        model = self._answerer.model
        worst = Decimal(0)
        if model is not None:
            worst = model.worst_case(built.manifest.token_bound) * (model.prices.batch_share if batch else 1)
        return await self.journal.built(call, plan, worst)

    async def _replied(self, call: ClaimedCall, template: Template | None, payer: Payer) -> ClaimedCall:
        """Return the call with its plan and, if there is a model, its stored reply."""
        model = self._answerer.model
        if model is None:
            return await self.build(call, template)
        # Building takes much longer than finding out that nothing can fit any more.
        await self.require_room(payer)
        call = await self.build(call, template)
        async with model.reserved(call.built_plan.manifest.token_bound, payer) as paid_call:
            return await self._paid(model, call, paid_call)

    async def _paid(self, model: PaidModel, call: ClaimedCall, paid_call: PaidCall) -> ClaimedCall:
        """Make the call and store its reply."""
        await self.journal.confirm(call)
        manifest = call.built_plan.manifest
        try:
            reply = await _reply_of(paid_call, await asyncio.to_thread(render, manifest))
        except ModelUnavailable as error:
            await self._log_failed(model, manifest, error)
            raise PostmortemFailed(error.reason) from None
        paid = PaidReply(reply=reply, cost_usd=model.cost(reply.usage, reply.model))
        stored = await completed(self._stored(call, paid))
        self._answerer.builder.calibration.learn(manifest, reply.usage.prompt_tokens)
        if stored is None:
            answer = await asyncio.to_thread(self._answer, replace(call, reply=paid))
            await self._questions.record(answer, asker=None, asked_at=self._clock())
            raise NothingToDo("another run has just written it")
        return stored

    async def _stored(self, call: ClaimedCall, paid: PaidReply) -> ClaimedCall | None:
        """Store a reply, with retries if the database is briefly unavailable: the reply is paid for."""
        for delay_s in _RETRY_DELAYS_S:
            try:
                return await self.journal.replied(call, paid)
            except (SQLAlchemyError, OSError) as error:
                log.warning("reply not stored yet", call=call.custom_id, error=str(error).splitlines()[0])
                await asyncio.sleep(delay_s)
        return await self.journal.replied(call, paid)

    async def _log_failed(self, model: PaidModel, manifest: Manifest, error: ModelUnavailable) -> None:
        """Log what was reported of a call without a complete reply."""
        if error.usage is not None:
            brief = write_brief(manifest, error.reason, called=True)
            written = DraftAnswer(brief, None, error.reason, None, error.usage, model.cost(error.usage))
            answer = await asyncio.to_thread(self._answerer.check, manifest, written, 0)
            await self._questions.record(answer, asker=None, asked_at=self._clock())

    async def finish(self, call: ClaimedCall) -> StoredPostmortem:
        """Write the document from plan and reply, and end the call, in one transaction.

        If an error is raised, a reply is still in the question log, with its cost.

        Raises:
            PostmortemFailed: the reply is incomplete, or the incident is not resolved any more.
            NothingToDo: the postmortem has been written meanwhile, or changed by a person.
        """
        if call.reply is not None:
            # Of a batch; a single call was settled when it ended.
            await self._ledger.settle(call.custom_id, call.reply.cost_usd)
        async with self._database.read() as session:
            incident = await session.get_one(Incident, call.incident_id)
            resolved_at = incident.resolved_at
            findings = None if resolved_at is None else await load_findings(session, incident, resolved_at)
        answer = await asyncio.to_thread(self._answer, call)
        document = None
        if findings is not None and (answer.model is None or answer.stop_reason == "end_turn"):
            findings = redacted_findings(findings, self._answerer.builder.redaction)
            document = await asyncio.to_thread(write_document, call.built_plan.template, findings, answer)
        return await self._store(call, answer, document)

    def _answer(self, call: ClaimedCall) -> Answer:
        """Check the reply, or the brief if no model was called, against the facts. Blocks."""
        manifest = call.built_plan.manifest
        if call.reply is None:
            reason = self._answerer.no_model_reason
            return self._answerer.check(manifest, DraftAnswer(write_brief(manifest, reason), None, reason), 0)
        reply = call.reply.reply
        cost = call.reply.cost_usd
        written = DraftAnswer(reply.text, reply.model, None, reply.stop_reason, reply.usage, cost)
        return self._answerer.check(manifest, written, reply.latency_ms)

    async def _store(
        self, call: ClaimedCall, answer: Answer, document: PostmortemDocument | None
    ) -> StoredPostmortem:
        """Store question log entry and postmortem, and end the call, in one transaction."""
        now = self._clock()
        async with self._database.write() as session:
            if not await self.journal.finish_in(session, call):
                raise NothingToDo("another run has just written it")
            question_id = await self._questions.record_in(session, answer, asker=None, asked_at=now)
            incident = await session.scalar(
                select(Incident).where(Incident.id == call.incident_id).with_for_update()
            )
            row = await session.scalar(
                select(Postmortem).where(Postmortem.incident_id == call.incident_id).with_for_update()
            )
            refusal = _refusal(incident, row, answer)
            session.audited.append(
                _audit_record(incident, answer, is_written=refusal is None and document is not None)
            )
            if refusal is None and incident is not None and document is not None:
                row = row or Postmortem(incident_id=call.incident_id)
                _fill(row, call.built_plan, answer, document)
                row.question_id, row.created_at = question_id, now
                session.add(row)
                await session.flush()
                return StoredPostmortem.of(incident, row)
        raise refusal or PostmortemFailed("the incident has changed meanwhile")


def _audit_record(incident: Incident | None, answer: Answer, *, is_written: bool) -> AuditRecord:
    """Return the audit trail's entry of a postmortem, or of a paid text that was not used."""
    return AuditRecord(
        action="postmortem",
        subject="" if incident is None else incident.public_id,
        outcome=AuditOutcome.DONE if is_written else AuditOutcome.REFUSED,
        detail=audit_detail(answer) | {"question": answer.id},
    )


def _refusal(incident: Incident | None, row: Postmortem | None, answer: Answer) -> PostmortemFailed | None:
    """Return why only the question may be stored, None if the postmortem may be stored too."""
    if incident is None or incident.resolved_at is None or incident.forgotten_at is not None:
        return PostmortemFailed("the incident is not resolved any more")
    if answer.model is not None and answer.stop_reason == "max_tokens":
        remedy = "raise ARCPOINT_MAX_OUTPUT_TOKENS or use a shorter template"
        return PostmortemFailed(f"the model ran out of output tokens; {remedy}")
    if answer.model is not None and answer.stop_reason != "end_turn":
        return PostmortemFailed(f"the model stopped early ({answer.stop_reason})")
    if row is not None and StoredPostmortem.of(incident, row).is_protected:
        return NothingToDo(
            f"a person has changed it meanwhile; the model's text is in the question log ({answer.id})"
        )
    return None


def _fill(row: Postmortem, plan: DocumentPlan, answer: Answer, document: PostmortemDocument) -> None:
    row.provenance = Provenance.MODEL if answer.model else Provenance.CODE
    row.markdown, row.summary = document.markdown, document.summary
    row.root_cause, row.resolution = document.root_cause, document.resolution
    row.template, row.incident_digest = plan.template.name, plan.incident_digest
    row.model, row.cost_usd = answer.model, answer.cost_usd


def _question(incident: Incident, template: Template) -> QuestionInput:
    """Ask about the time of the incident, as of its end."""
    # An archive may contain the first day of the calendar.
    earliest = datetime.min.replace(tzinfo=UTC) + LEAD_IN
    return QuestionInput(
        question=postmortem_question(incident, template),
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


async def _reply_of(call: PaidCall, prompt: Prompt) -> Reply:
    async with aclosing(call.stream(prompt)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Reply):
                return piece
    raise AssertionError("the stream ends with a reply")
