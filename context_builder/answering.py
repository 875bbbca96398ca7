"""Answers a question: builds its context, makes one model call, checks and records the answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import uuid4

import structlog
from opentelemetry.trace import Span, use_span
from sqlalchemy.exc import SQLAlchemyError

from context_builder.answer.answer import Answer
from context_builder.answer.brief import write_brief
from context_builder.answer.closing import closing_text
from context_builder.answer.confidence import confidence_of
from context_builder.answer.grounding import ground
from context_builder.answer.question_log import QuestionLog
from context_builder.builder import BuiltContext, ContextBuilder
from context_builder.llm.chat_model import Delta, ModelUnavailable, Reply
from context_builder.llm.paid_model import NOT_RESERVED, PaidModel, why_not_reserved
from context_builder.llm.usage import Usage
from context_builder.observation import mark_failed, tracer
from context_builder.prompt.manifest import Manifest
from context_builder.prompt.render import uncited_text
from context_builder.question.request import QuestionError, QuestionInput
from context_builder.spend.accounts import Payer
from context_builder.text.clock import utc_now
from models.errors import StorageError

log = structlog.get_logger(__name__)

AnswerEvent = BuiltContext | Delta | Answer


@dataclass(frozen=True, slots=True)
class DraftAnswer:
    """The text of an answer before it is checked, and its origin."""

    text: str
    model: str | None = None
    no_model_reason: str | None = None
    stop_reason: str | None = None
    usage: Usage | None = None
    cost_usd: Decimal = Decimal(0)
    """By the prices at the time of the call."""
    closing: str = ""
    """What is appended to the text and not checked: it was not written by the model."""


class QuestionOutcome(StrEnum):
    """How a question ended."""

    ANSWERED = "answered"
    """By the model."""
    BRIEF = "brief"
    """By code: no model was called, or its call failed."""
    REFUSED = "refused"
    """It cannot be answered as asked."""
    FAILED = "failed"
    CANCELLED = "cancelled"
    """The asker left before the answer."""


@dataclass(frozen=True, slots=True)
class QuestionReport:
    """One question, as metrics count it."""

    outcome: QuestionOutcome
    seconds: float


class Answerer:
    """Answers questions with at most one model call each."""

    def __init__(
        self,
        builder: ContextBuilder,
        questions: QuestionLog,
        model: PaidModel | None,
        *,
        no_model_reason: str = "no model is configured",
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """Create an answerer; without a model every answer is a brief, explained by `no_model_reason`."""
        self.builder = builder
        self._questions = questions
        self.model = model
        self.no_model_reason = no_model_reason
        self._clock = clock

    @property
    def has_model(self) -> bool:
        """True if a model is configured."""
        return self.model is not None

    async def answer(self, ask: QuestionInput, *, record: bool = True, payer: Payer | None = None) -> Answer:
        """Answer a question; if the model fails, or its call does not fit under a cap, by a brief.

        The payer is by default the user who asks. With `record=False` the caller stores the answer in the
        question log.

        Raises:
            QuestionError: The question cannot be answered as asked.
            DatabaseError: The database cannot be read.
        """
        return await final_answer(self.stream(ask, record=record, payer=payer))

    async def stream(
        self, ask: QuestionInput, *, record: bool = True, payer: Payer | None = None
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Yield the built context, the model's text as it arrives, and finally the checked answer.

        Closing the generator ends the model call. Raises the same errors as `answer`.
        """
        started, outcome = time.perf_counter(), QuestionOutcome.CANCELLED
        # Never current across a `yield`: who iterates may do so in another context.
        question = tracer.start_span("question")
        try:
            async with aclosing(self._stream(ask, question, payer, record=record)) as events:
                async for event in events:
                    if isinstance(event, Answer):
                        outcome = QuestionOutcome.ANSWERED if event.model else QuestionOutcome.BRIEF
                    yield event
        except Exception as error:
            refused = isinstance(error, QuestionError)
            outcome = QuestionOutcome.REFUSED if refused else QuestionOutcome.FAILED
            mark_failed(question, error)
            raise
        finally:
            question.set_attribute("arcpoint.outcome", outcome.value)
            question.end()
            self.builder.observe(QuestionReport(outcome, time.perf_counter() - started))

    async def _stream(
        self, ask: QuestionInput, question: Span, payer: Payer | None, *, record: bool
    ) -> AsyncGenerator[AnswerEvent, None]:
        started, asked_at = time.perf_counter(), self._clock()
        with use_span(question, record_exception=False, set_status_on_exception=False):
            built = await self.builder.build(ask)
        yield built
        if self.model is None:
            brief = await asyncio.to_thread(write_brief, built.manifest, self.no_model_reason)
            draft = DraftAnswer(brief, None, self.no_model_reason)
        else:
            payer = payer or Payer(user=ask.asker)
            async with aclosing(self._write(self.model, built, payer, question)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Delta):
                        yield piece
                    else:
                        draft = piece
        if draft.usage is not None:
            self.builder.calibration.learn(built.manifest, draft.usage.prompt_tokens)
        latency_ms = round((time.perf_counter() - started) * 1000)
        # Checking a long answer takes tens of milliseconds and must not block other questions.
        answer = await asyncio.to_thread(self.check, built.manifest, draft, latency_ms)
        if record and self._questions.is_enabled:
            await self._record(answer, ask.asker, asked_at)
        yield answer

    async def _write(
        self, model: PaidModel, built: BuiltContext, payer: Payer, question: Span
    ) -> AsyncGenerator[Delta | DraftAnswer, None]:
        """Make the model call and yield its text, then the draft; if there is no reply, a brief."""
        try:
            async with AsyncExitStack() as stack:
                with use_span(question, record_exception=False, set_status_on_exception=False):
                    reserved = model.reserved(built.manifest.token_bound, payer)
                    call = await stack.enter_async_context(reserved)
                pieces = await stack.enter_async_context(aclosing(call.stream(built.prompt)))
                async for piece in pieces:
                    if isinstance(piece, Reply):
                        closing = closing_text(built.manifest)
                        if closing:
                            yield Delta(closing)
                        yield DraftAnswer(
                            text=piece.text,
                            model=piece.model,
                            stop_reason=piece.stop_reason,
                            usage=piece.usage,
                            cost_usd=model.cost(piece.usage, piece.model),
                            closing=closing,
                        )
                    else:
                        yield piece
        except ModelUnavailable as error:
            log.warning("model unavailable", model=model.model, reason=error.reason)
            called = error.usage is not None
            cost = Decimal(0) if error.usage is None else model.cost(error.usage)
            brief = await asyncio.to_thread(write_brief, built.manifest, error.reason, called=called)
            yield DraftAnswer(brief, None, error.reason, None, error.usage, cost)
        except NOT_RESERVED as error:
            # The context that was built is worth more than an error.
            reason = why_not_reserved(error, only_own=built.request.confined_to is not None)
            log.warning("call not made", model=model.model, reason=reason)
            yield DraftAnswer(await asyncio.to_thread(write_brief, built.manifest, reason), None, reason)

    def check(self, manifest: Manifest, draft: DraftAnswer, latency_ms: int) -> Answer:
        """Check a draft against the facts of its prompt. Blocks: call it in a thread."""
        checked = ground(
            draft.text, manifest.shown, source_names(manifest), uncited_text(manifest), manifest.approved
        )
        # A brief consists of the facts themselves.
        unsupported = checked.unsupported if draft.model else ()
        return Answer(
            id=f"ans_{uuid4().hex}",
            question=manifest.question,
            as_of=manifest.as_of,
            text=draft.text + draft.closing,
            citations=checked.citations,
            unsupported=unsupported,
            confidence=confidence_of(manifest, unsupported=len(unsupported)),
            manifest=manifest,
            model=draft.model,
            no_model_reason=draft.no_model_reason,
            stop_reason=draft.stop_reason,
            usage=draft.usage,
            cost_usd=draft.cost_usd,
            latency_ms=latency_ms,
        )

    async def _record(self, answer: Answer, asker: str | None, asked_at: datetime) -> None:
        """Log the question; a paid answer is returned even if the log is not writable."""
        try:
            await self._questions.record(answer, asker=asker, asked_at=asked_at)
        except (SQLAlchemyError, StorageError, OSError) as error:
            log.warning("question not logged", question=answer.id, error=str(error).splitlines()[0])


async def final_answer(events: AsyncGenerator[AnswerEvent, None]) -> Answer:
    """Return the answer that a stream, or the rest of one, ends with, and close it."""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Answer):
                return event
    raise AssertionError("the stream ends with an answer")


def source_names(manifest: Manifest) -> dict[str, str]:
    """Map every reference in the prompt to its source."""
    headers = {source.ref: source.name for source in manifest.sources}
    return headers | {fact.ref: fact.source for fact in manifest.facts}
