"""The money of one run: a cap that no number of calls at the same time can pass."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

from context_builder.errors import ContextBuilderError
from context_builder.text.formatting import format_dollars


class CapReached(ContextBuilderError):
    """The call does not fit under the cap, whatever the calls under way will cost."""


class Reservation:
    """The worst case of one call, set aside until it is known what it has cost."""

    def __init__(self, worst: Decimal) -> None:
        self.worst = worst
        self.cost = worst
        """What counts in the end: the worst case, unless it is settled."""

    def settle(self, cost: Decimal) -> None:
        """Says what the call has cost."""
        self.cost = cost


class Spending:
    """What a run has spent and set aside, in US dollars; for one event loop."""

    def __init__(self, cap: Decimal | None = None) -> None:
        """Without a cap everything fits, and is counted all the same."""
        self.cap = cap
        self.spent = Decimal(0)
        self.reserved = Decimal(0)
        self._settled = asyncio.Event()
        """Set, and replaced, when a call is settled."""

    @property
    def left(self) -> Decimal | None:
        """What calls that have not begun yet can cost at the most; None: there is no cap."""
        return None if self.cap is None else self.cap - self.spent

    def could_fit(self, cost: Decimal) -> bool:
        """Whether a call of this cost could fit if those under way were for free."""
        return self.left is None or cost <= self.left

    def require(self, cost: Decimal) -> None:
        """Raises CapReached unless a call of this cost could fit."""
        if not self.could_fit(cost):
            left = format_dollars(max(Decimal(0), self.left or Decimal(0)))
            raise CapReached(f"the call could cost {format_dollars(cost)}, and {left} of the cap are left")

    def set_aside(self, worst: Decimal) -> bool:
        """Sets the worst case of a call aside, if it fits now; whether it did. `settle` it in any case."""
        if self.cap is not None and self.spent + self.reserved + worst > self.cap:
            return False
        self.reserved += worst
        return True

    def settle(self, worst: Decimal, cost: Decimal) -> None:
        """Puts what a call has cost in the place of what was set aside for it."""
        self.reserved -= worst
        self.spent += cost
        settled, self._settled = self._settled, asyncio.Event()
        settled.set()

    def count_in(self, worst: Decimal) -> None:
        """Sets aside the worst case of what is under way already, whether it fits or not."""
        self.reserved += worst

    @asynccontextmanager
    async def reserved_for(self, worst: Decimal) -> AsyncIterator[Reservation]:
        """Sets the worst case aside for the block; what is not settled in it counts as spent in full.

        Waits while only the calls under way stand in the way: they mostly cost less than was set aside.
        Raises CapReached.
        """
        while not self.set_aside(worst):
            self.require(worst)
            await self._settled.wait()
        reservation = Reservation(worst)
        try:
            yield reservation
        finally:
            self.settle(worst, reservation.cost)
