"""Reserves what a request for a message may cost before it is forwarded, and settles it by its usage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from http import HTTPStatus

import orjson

from api.proxy.call import Call
from api.proxy.errors import ProxyRefusal
from api.proxy.reply_capture import usage_of
from api.proxy.rewriting.in_time import InTime, Unavailable
from context_builder.conversation.window import BYTES_PER_TOKEN
from context_builder.llm.pricing import PriceList
from context_builder.llm.usage import Usage
from context_builder.spend.accounts import Payer
from context_builder.spend.ledger import CapReached, Reservation, SpendLedger

KEY_DIGITS = 12
"""Of the digest of a credential that name its account, as they name its user: `key:0f3a9c1d2b4e`."""
_ZERO = Decimal(0)


class Payment:
    """The payments of one process."""

    def __init__(self, ledger: SpendLedger, prices: PriceList, in_time: InTime, deadline_s: float) -> None:
        """Wait for the ledger at most `deadline_s`; a request whose reservation is late goes on without."""
        self._ledger = ledger
        self._prices = prices
        self._in_time = in_time
        self._deadline_s = deadline_s
        self._settling: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def of(self, call: Call) -> AsyncIterator[None]:
        """Forward a call in the block: about its worst case is reserved, and settled by its usage.

        Raises:
            ProxyRefusal: It does not fit under a cap.
        """
        held = _Held(self._ledger, _most(call))
        try:
            if call.is_message and call.request is not None and call.sender is not None:
                user, key = call.sender.user.id, call.sender.credential[:KEY_DIGITS]
                payer = Payer(user=user, key=key, spend_is_logged=True)
                worst = self._prices.cost_at_most(call.requested_model, held.most)
                await self._reserve(held, worst, payer)
            yield
        finally:
            held.is_over = True
            if held.reservation is not None:
                self._settle(held, held.reservation, call)

    async def close(self) -> None:
        """Wait for what is being settled."""
        await asyncio.gather(*self._settling)

    async def _reserve(self, held: _Held, worst: Decimal, payer: Payer) -> None:
        until = asyncio.get_running_loop().time() + self._deadline_s
        try:
            refusal = await self._in_time.result(held.reserve(worst, payer), until, "a reservation")
        except Unavailable:
            return
        if refusal is not None:
            raise ProxyRefusal(429, str(refusal), code="enforced_spend_limit_reached")

    def _settle(self, held: _Held, reservation: Reservation, call: Call) -> None:
        """Settle in the background: the client has its answer, and waits for no database."""
        if call.attempts == 0 or (call.status or 0) >= HTTPStatus.BAD_REQUEST:
            reservation.settle(_ZERO)
        elif call.reply.usage:
            used = usage_of(call.reply.usage)
            if not call.reply.is_complete:  # more may have followed
                used = replace(used, output_tokens=max(used.output_tokens, held.most.output_tokens))
            model = call.reply.model or call.requested_model
            reservation.settle(self._prices.cost_at_most(model, used))
        task = asyncio.create_task(held.stack.aclose())
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)


class _Held:
    """What is reserved for one call."""

    def __init__(self, ledger: SpendLedger, most: Usage) -> None:
        self.most = most
        self.stack = AsyncExitStack()
        self.reservation: Reservation | None = None
        self.is_over = False
        """True once the call is: a reservation that comes later is given back."""
        self._ledger = ledger

    async def reserve(self, worst: Decimal, payer: Payer) -> CapReached | None:
        """Reserve; return why that is not possible."""
        try:
            reservation = await self.stack.enter_async_context(self._ledger.reserved(worst, payer))
        except CapReached as refusal:
            return refusal
        if self.is_over:
            reservation.settle(_ZERO)
            await self.stack.aclose()
        else:
            self.reservation = reservation
        return None


def _most(call: Call) -> Usage:
    """Return about the most that a call can use: its input goes by the length of its body."""
    body = call.request.body if call.request else b""
    try:
        asked = orjson.loads(body).get("max_tokens")
    except (orjson.JSONDecodeError, AttributeError):
        return Usage(0, 0)  # the API refuses it
    output = asked if isinstance(asked, int) and 0 < asked < 2**31 else 0
    return Usage(0, output, cache_write_tokens=int(len(body) / BYTES_PER_TOKEN))
