"""The only way to call a model: each call is reserved before it is sent, and settled by what it used."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from opentelemetry.context import get_current
from opentelemetry.trace import Span, SpanKind
from sqlalchemy.exc import SQLAlchemyError

from context_builder.llm.chat_model import ChatModel, Delta, ModelUnavailable, Reply
from context_builder.llm.pricing import PriceList
from context_builder.llm.usage import Usage
from context_builder.observation import Observe, ignore, mark_failed, tracer
from context_builder.prompt.prompt import Prompt
from context_builder.spend.accounts import Payer
from context_builder.spend.ledger import CapReached, Reservation, SpendLedger
from models import AccountKind
from models.errors import StorageError

NOT_RESERVED = (CapReached, StorageError, SQLAlchemyError, OSError)
"""Errors of a reservation: a cap, or a ledger that cannot be written; the call is not made."""

_OWN_ACCOUNTS = (AccountKind.USER, AccountKind.KEY, AccountKind.RUN)


class CallOutcome(StrEnum):
    """How a model call ended."""

    COMPLETE = "complete"
    CUT = "cut"
    """The reply is incomplete: the API says so by its stop reason."""
    REFUSED = "refused"
    """No attempt was accepted; nothing is billed."""
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReport:
    """One model call, as metrics count it."""

    outcome: CallOutcome
    input_bound: int
    """Upper bound of its input, in tokens."""
    usage: Usage | None
    """None if no reply had begun."""
    cost_usd: Decimal
    """What it counts as; its worst case if that is all that is known."""
    seconds: float
    first_token_ms: int | None


def why_not_reserved(error: Exception, *, only_own: bool = False) -> str:
    """Return in one line why a call is not made; with `only_own` without figures of accounts of many."""
    if only_own and not (isinstance(error, CapReached) and error.account.kind in _OWN_ACCOUNTS):
        return "no more may be spent on questions for now"
    reason = str(error).partition("\n")[0]
    return reason if isinstance(error, CapReached) else f"its cost could not be reserved: {reason}"


class PaidModel:
    """A model with its prices and the ledger that its calls are reserved in."""

    def __init__(self, model: ChatModel, prices: PriceList, ledger: SpendLedger) -> None:
        """Create it; raises UnknownPrice for a model whose calls could cost anything."""
        prices.require(model.model)
        self.prices = prices
        self.ledger = ledger
        self.observe: Observe = ignore
        """Is handed a CallReport of every call."""
        self._model = model

    @property
    def model(self) -> str:
        """The id of the model that is asked."""
        return self._model.model

    def worst_case(self, input_bound: int) -> Decimal:
        """Return the most that a call with so many input tokens can cost, in US dollars."""
        return self.prices.worst_case(self.model, input_bound, self._model.max_output_tokens)

    def cost(self, usage: Usage, billed_as: str | None = None) -> Decimal:
        """Return the cost of a call in US dollars; `billed_as` is the name of the model in its reply."""
        return self.prices.cost(billed_as or self.model, usage, asked_for=self.model)

    def most(self, error: ModelUnavailable) -> Decimal | None:
        """Return the most that a failed call can have cost, in US dollars; None: its worst case."""
        if error.usage is not None:
            # The reported input is complete, but output may have followed.
            output = max(error.usage.output_tokens, self._model.max_output_tokens)
            return self.cost(replace(error.usage, output_tokens=output))
        return Decimal(0) if error.refused else None

    @asynccontextmanager
    async def reserved(self, input_bound: int, payer: Payer) -> AsyncIterator[PaidCall]:
        """Reserve the worst case of a call for the block, which is released if the block sends nothing.

        Raises:
            CapReached: the call does not fit under a cap.
            DatabaseError: nothing can be reserved.
        """
        async with self.ledger.reserved(self.worst_case(input_bound), payer) as reservation:
            call = PaidCall(self, self._model, reservation, input_bound)
            try:
                yield call
            finally:
                if not call.is_sent:
                    reservation.settle(Decimal(0))


class PaidCall:
    """One call whose worst case is reserved; its span is a child of the one that was current before."""

    def __init__(self, paid: PaidModel, model: ChatModel, reservation: Reservation, input_bound: int) -> None:
        self.is_sent = False
        self._paid = paid
        self._model = model
        self._reservation = reservation
        self._input_bound = input_bound
        self._parent = get_current()

    @property
    def cost(self) -> Decimal:
        """What it counts as, in US dollars: the worst case until its cost is known."""
        return self._reservation.cost

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Delta | Reply, None]:
        """Yield pieces of text as they arrive, then exactly one Reply. To be called once.

        Raises:
            ModelUnavailable: There is no complete reply.
        """
        if self.is_sent:
            raise ValueError("one reservation pays for one call")
        self.is_sent = True
        with self._reported() as progress:
            try:
                async with aclosing(self._model.stream(prompt)) as pieces:
                    async for piece in pieces:
                        if isinstance(piece, Reply):
                            progress.end(piece)
                            self._reservation.settle(self._paid.cost(piece.usage, piece.model))
                        yield piece
            except ModelUnavailable as error:
                progress.fail(error)
                most = self._paid.most(error)
                if most is not None:
                    self._reservation.settle(most)
                raise

    @contextmanager
    def _reported(self) -> Iterator[_Progress]:
        """Trace and report the call of the block; its span is never current, since the block yields."""
        progress, started = _Progress(), time.perf_counter()
        call = tracer.start_span(
            f"chat {self._model.model}",
            context=self._parent,
            kind=SpanKind.CLIENT,
            attributes={
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "anthropic",
                "gen_ai.request.model": self._model.model,
                "gen_ai.request.max_tokens": self._model.max_output_tokens,
                "gen_ai.request.stream": True,
            },
        )
        try:
            yield progress
        except ModelUnavailable as error:
            mark_failed(call, error)
            raise
        finally:
            _describe(call, progress)
            call.end()
            self._paid.observe(
                CallReport(
                    outcome=progress.outcome,
                    input_bound=self._input_bound,
                    usage=progress.usage,
                    cost_usd=self.cost,
                    seconds=time.perf_counter() - started,
                    first_token_ms=progress.reply.first_token_ms if progress.reply else None,
                )
            )


@dataclass(slots=True)
class _Progress:
    """What is known of a call so far."""

    outcome: CallOutcome = CallOutcome.CANCELLED
    reply: Reply | None = None
    usage: Usage | None = None

    def end(self, reply: Reply) -> None:
        """Note the complete reply."""
        self.reply, self.usage = reply, reply.usage
        self.outcome = CallOutcome.COMPLETE if reply.stop_reason == "end_turn" else CallOutcome.CUT

    def fail(self, error: ModelUnavailable) -> None:
        """Note that there is none."""
        self.usage = error.usage
        self.outcome = CallOutcome.REFUSED if error.refused else CallOutcome.FAILED


def _describe(call: Span, progress: _Progress) -> None:
    """Set what is known of a call at its end, by the GenAI conventions; never its content."""
    reply, usage = progress.reply, progress.usage
    if reply is not None:
        call.set_attribute("gen_ai.response.model", reply.model)
        call.set_attribute("gen_ai.response.finish_reasons", [reply.stop_reason])
    if usage is not None:
        call.set_attribute("gen_ai.usage.input_tokens", usage.prompt_tokens)
        call.set_attribute("gen_ai.usage.output_tokens", usage.output_tokens)
        call.set_attribute("gen_ai.usage.cache_read.input_tokens", usage.cache_read_tokens)
        call.set_attribute("gen_ai.usage.cache_creation.input_tokens", usage.cache_write_tokens)
