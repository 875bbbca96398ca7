"""Spend control: reserve the worst case of each model call, so that no concurrency can exceed a cap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

from context_builder.errors import ContextBuilderError
from context_builder.text.formatting import format_dollars


class CapReached(ContextBuilderError):
    """The call cannot fit under the cap, whatever the calls in flight turn out to cost."""


class Reservation:
    """The worst case of one call, reserved until its cost is known."""

    def __init__(self, worst: Decimal) -> None:
        self.cost = worst
        """The cost to count at the end; the worst case unless it is settled."""

    def settle(self, cost: Decimal) -> None:
        """Set the actual cost of the call."""
        self.cost = cost


class SpendTracker:
    """What has been spent and reserved, in US dollars, under an optional cap; for one event loop."""

    def __init__(self, cap: Decimal | None = None) -> None:
        """None: no cap; costs are still counted."""
        self.cap = cap
        self.spent = Decimal(0)
        self.reserved = Decimal(0)
        self._settled = asyncio.Event()
        """Set and replaced whenever a call is settled."""

    @property
    def left(self) -> Decimal | None:
        """What has not been spent of the cap, reserved or not; None: there is no cap."""
        return None if self.cap is None else self.cap - self.spent

    def could_fit(self, cost: Decimal) -> bool:
        """Return whether a call of this cost could fit if the calls in flight turned out to be free."""
        return self.left is None or cost <= self.left

    def require(self, cost: Decimal) -> None:
        """Check that a call of this cost could fit.

        Raises:
            CapReached: it could not.
        """
        if not self.could_fit(cost):
            left = format_dollars(max(Decimal(0), self.left or Decimal(0)))
            raise CapReached(
                f"the call could cost {format_dollars(cost)}, but only {left} of the cap is left"
            )

    def try_reserve(self, worst: Decimal) -> bool:
        """Reserve the worst case of a call if it fits now, and return whether it did; then `settle` it."""
        if self.cap is not None and self.spent + self.reserved + worst > self.cap:
            return False
        self.reserved += worst
        return True

    def reserve_in_flight(self, worst: Decimal) -> None:
        """Reserve the worst case of calls that are already in flight, whether it fits or not."""
        self.reserved += worst

    def settle(self, worst: Decimal, cost: Decimal) -> None:
        """Replace the reservation of a call by its actual cost."""
        self.reserved -= worst
        self.spent += cost
        settled, self._settled = self._settled, asyncio.Event()
        settled.set()

    @asynccontextmanager
    async def reserved_for(self, worst: Decimal) -> AsyncIterator[Reservation]:
        """Reserve the worst case for the block; if the block does not settle it, it counts as spent in full.

        Waits while only calls in flight stand in the way: most cost less than their reservation.

        Raises:
            CapReached: the call cannot fit any more.
        """
        while not self.try_reserve(worst):
            self.require(worst)
            await self._settled.wait()
        reservation = Reservation(worst)
        try:
            yield reservation
        finally:
            self.settle(worst, reservation.cost)
