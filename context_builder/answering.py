"""Answers a question: builds its context, makes one model call, checks and records the answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import uuid4

import structlog
from sqlalchemy.exc import SQLAlchemyError

from context_builder.answer.answer import Answer
from context_builder.answer.brief import write_brief
from context_builder.answer.closing import closing_text
from context_builder.answer.confidence import confidence_of
from context_builder.answer.grounding import ground
from context_builder.answer.question_log import QuestionLog
from context_builder.builder import BuiltContext, ContextBuilder
from context_builder.llm.chat_model import ChatModel, Delta, ModelUnavailable, Reply
from context_builder.llm.pricing import PriceList
from context_builder.llm.usage import Usage
from context_builder.prompt.manifest import Manifest
from context_builder.prompt.render import uncited_text
from context_builder.question.request import QuestionInput
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
    closing: str = ""
    """What is appended to the text and not checked: it was not written by the model."""


class Answerer:
    """Answers questions with at most one model call each."""

    def __init__(
        self,
        builder: ContextBuilder,
        questions: QuestionLog,
        prices: PriceList,
        model: ChatModel | None,
        *,
        no_model_reason: str = "no model is configured",
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """Create an answerer; without a model every answer is a brief, explained by `no_model_reason`."""
        self.builder = builder
        self._questions = questions
        self.prices = prices
        self.model = model
        self.no_model_reason = no_model_reason
        self._clock = clock

    @property
    def has_model(self) -> bool:
        """True if a model is configured."""
        return self.model is not None

    async def answer(self, ask: QuestionInput, *, record: bool = True) -> Answer:
        """Answer a question; if the model fails, the answer is a brief.

        With `record=False` the caller stores the answer in the question log.

        Raises:
            QuestionError: The question cannot be answered as asked.
            DatabaseError: The database cannot be read.
        """
        return await final_answer(self.stream(ask, record=record))

    async def stream(self, ask: QuestionInput, *, record: bool = True) -> AsyncGenerator[AnswerEvent, None]:
        """Yield the built context, the model's text as it arrives, and finally the checked answer.

        Closing the generator ends the model call. Raises the same errors as `answer`.
        """
        started, asked_at = time.perf_counter(), self._clock()
        built = await self.builder.build(ask)
        yield built
        if self.model is None:
            brief = await asyncio.to_thread(write_brief, built.manifest, self.no_model_reason)
            draft = DraftAnswer(brief, None, self.no_model_reason)
        else:
            async with aclosing(self._write(self.model, built)) as pieces:
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
            await self._record(answer, ask.asked_by, asked_at)
        yield answer

    async def _write(
        self, model: ChatModel, built: BuiltContext
    ) -> AsyncGenerator[Delta | DraftAnswer, None]:
        """Make the model call and yield its text, then the draft; if the call fails, the draft is a brief."""
        try:
            async with aclosing(model.stream(built.prompt)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Reply):
                        closing = closing_text(built.manifest)
                        if closing:
                            yield Delta(closing)
                        yield DraftAnswer(
                            piece.text, piece.model, None, piece.stop_reason, piece.usage, closing
                        )
                    else:
                        yield piece
        except ModelUnavailable as error:
            log.warning("model unavailable", model=model.model, reason=error.reason)
            called = error.usage is not None
            brief = await asyncio.to_thread(write_brief, built.manifest, error.reason, called=called)
            yield DraftAnswer(brief, None, error.reason, None, error.usage)

    def check(
        self, manifest: Manifest, draft: DraftAnswer, latency_ms: int, *, cost_usd: Decimal | None = None
    ) -> Answer:
        """Check a draft against the facts of its prompt. Blocks: call it in a thread.

        `cost_usd` is the cost by the prices at the time of the call; None uses the current prices.
        """
        checked = ground(
            draft.text, manifest.shown, source_names(manifest), uncited_text(manifest), manifest.approved
        )
        # A brief consists of the facts themselves.
        unsupported = checked.unsupported if draft.model else ()
        if cost_usd is None:
            cost_usd = self.cost(draft)
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
            cost_usd=cost_usd,
            latency_ms=latency_ms,
        )

    def cost(self, draft: DraftAnswer) -> Decimal:
        """Return the cost of a draft in USD by the current prices."""
        if draft.usage is None or self.model is None:
            return Decimal(0)
        return self.prices.cost(draft.model or self.model.model, draft.usage)

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
