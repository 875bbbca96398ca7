"""Answers a question: builds its context, makes one model call, checks and records what came back."""

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

log = structlog.get_logger(__name__)

AnswerEvent = BuiltContext | Delta | Answer


@dataclass(frozen=True, slots=True)
class DraftAnswer:
    """A text and who wrote it."""

    text: str
    model: str | None = None
    no_model_reason: str | None = None
    stop_reason: str | None = None
    usage: Usage | None = None


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
        """Without a model every answer is a brief; `no_model_reason` says why there is none."""
        self.builder = builder
        self._questions = questions
        self.prices = prices
        self.model = model
        self.no_model_reason = no_model_reason
        self._clock = clock

    @property
    def has_model(self) -> bool:
        """Whether a model is configured."""
        return self.model is not None

    async def answer(self, ask: QuestionInput, *, record: bool = True) -> Answer:
        """The answer to a question. Raises QuestionError and DatabaseError; a failed model gives a brief.

        With `record=False` the caller keeps the answer in the question log itself.
        """
        async with aclosing(self.stream(ask, record=record)) as events:
            async for event in events:
                if isinstance(event, Answer):
                    return event
        raise AssertionError("the stream ends with an answer")

    async def stream(self, ask: QuestionInput, *, record: bool = True) -> AsyncGenerator[AnswerEvent, None]:
        """The built context, the model's words as they come, and last the checked answer.

        Closing the generator ends the model call.
        """
        started, asked_at = time.perf_counter(), self._clock()
        built = await self.builder.build(ask)
        yield built
        written = DraftAnswer(write_brief(built.manifest, self.no_model_reason), None, self.no_model_reason)
        if self.model is not None:
            async with aclosing(self._write(self.model, built)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Delta):
                        yield piece
                    else:
                        written = piece
        if written.usage is not None:
            self.builder.calibration.learn(built.manifest, written.usage.prompt_tokens)
        latency_ms = round((time.perf_counter() - started) * 1000)
        # Checking a long answer takes tens of milliseconds, which other questions need not wait for.
        answer = await asyncio.to_thread(self.check, built.manifest, written, latency_ms)
        if record and self._questions.is_kept:
            await self._record(answer, ask.asker, asked_at)
        yield answer

    async def _write(self, model: ChatModel, built: BuiltContext) -> AsyncGenerator[Delta | DraftAnswer, None]:
        """The one call; when it fails, the brief instead."""
        try:
            async with aclosing(model.stream(built.prompt)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Reply):
                        yield DraftAnswer(piece.text, piece.model, None, piece.stop_reason, piece.usage)
                    else:
                        yield piece
        except ModelUnavailable as error:
            log.warning("model unavailable", model=model.model, reason=error.reason)
            brief = write_brief(built.manifest, error.reason, called=error.usage is not None)
            yield DraftAnswer(brief, None, error.reason, None, error.usage)

    def check(
        self, manifest: Manifest, written: DraftAnswer, latency_ms: int, *, cost_usd: Decimal | None = None
    ) -> Answer:
        """The answer that a text is, checked against the facts of its prompt. Blocks: call it in a thread.

        `cost_usd` is what it cost by the prices of its day; None takes those of today.
        """
        checked = ground(written.text, manifest.shown, source_names(manifest), uncited_text(manifest))
        # A brief is the facts themselves.
        unsupported = checked.unsupported if written.model else ()
        if cost_usd is None:
            cost_usd = self.cost(written)
        return Answer(
            id=f"ans_{uuid4().hex}",
            question=manifest.question,
            as_of=manifest.as_of,
            text=written.text,
            citations=checked.citations,
            unsupported=unsupported,
            confidence=confidence_of(manifest, unsupported=len(unsupported)),
            manifest=manifest,
            model=written.model,
            no_model_reason=written.no_model_reason,
            stop_reason=written.stop_reason,
            usage=written.usage,
            cost_usd=cost_usd,
            latency_ms=latency_ms,
        )

    def cost(self, written: DraftAnswer) -> Decimal:
        """What a text cost, in US dollars, by the prices of today."""
        if written.usage is None or self.model is None:
            return Decimal(0)
        return self.prices.cost(written.model or self.model.model, written.usage)

    async def _record(self, answer: Answer, asker: str | None, asked_at: datetime) -> None:
        """Logs the question; an answer that was paid for is given even when the log cannot be written."""
        try:
            await self._questions.record(answer, asker=asker, asked_at=asked_at)
        except (SQLAlchemyError, OSError) as error:
            log.warning("question not logged", question=answer.id, error=str(error).splitlines()[0])


def source_names(manifest: Manifest) -> dict[str, str]:
    """The source of every reference in the prompt."""
    headers = {source.ref: source.name for source in manifest.sources}
    return headers | {fact.ref: fact.source for fact in manifest.facts}
