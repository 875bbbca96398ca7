"""The cap of a run holds exactly, and is used as fully as possible."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.llm.spend import CapReached, SpendTracker
from tests.support.patience import PATIENCE_S

cents = st.integers(0, 400).map(lambda number: Decimal(number) / 100)


class Call:
    """One call: its worst case, how much of it is spent, how long it takes, and whether it breaks off."""

    def __init__(self, worst: Decimal, share: int, turns: int, *, breaks: bool) -> None:
        self.worst = worst
        self.cost = worst * share / 100
        self.turns = turns
        self.breaks = breaks


calls = st.builds(Call, cents, st.integers(0, 100), st.integers(0, 5), breaks=st.booleans())


@pytest.mark.long
@settings(max_examples=200, deadline=None)
@given(st.lists(calls, max_size=25), cents, st.integers(1, 8))
async def test_no_concurrency_passes_the_cap(todo: list[Call], cap: Decimal, workers: int) -> None:
    """Spent and reserved never exceed it; a call is rejected only if it could not have fitted then."""
    spend = SpendTracker(cap)
    waiting = iter(todo)
    paid = Decimal(0)
    left: list[Call] = []

    async def work() -> None:
        nonlocal paid
        for call in waiting:
            try:
                async with spend.reserved_for(call.worst) as reservation:
                    assert spend.spent + spend.reserved <= cap
                    for _ in range(call.turns):
                        await asyncio.sleep(0)
                    if not call.breaks:
                        reservation.settle(call.cost)
                    paid += call.worst if call.breaks else call.cost
            except CapReached:
                assert paid + call.worst > cap
                left.append(call)

    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work())
    assert spend.reserved == 0
    assert spend.spent == paid <= cap
    assert all(call.worst > cap - paid for call in left), "none is left that would fit now"


async def test_a_call_waits_for_calls_in_flight() -> None:
    """What was reserved and not spent goes to the calls that wait for it."""
    spend = SpendTracker(Decimal(10))
    entered = asyncio.Event()

    async def second() -> None:
        async with spend.reserved_for(Decimal(8)):
            entered.set()

    async with spend.reserved_for(Decimal(8)) as first:
        waiting = asyncio.create_task(second())
        await asyncio.sleep(0.01)
        assert not entered.is_set()
        async with spend.reserved_for(Decimal(2)) as cheaper:  # does not wait behind it
            cheaper.settle(Decimal(0))
        first.settle(Decimal(1))
    await asyncio.wait_for(waiting, PATIENCE_S)
    assert spend.spent == 9


async def test_what_is_cancelled_counts_in_full() -> None:
    """Nobody knows what a call has cost that was broken off, and one that waited has cost nothing."""
    spend = SpendTracker(Decimal(10))

    async def call() -> None:
        async with spend.reserved_for(Decimal(6)):
            await asyncio.sleep(60)

    under_way, waiting = asyncio.create_task(call()), asyncio.create_task(call())
    await asyncio.sleep(0.01)
    waiting.cancel()
    under_way.cancel()
    await asyncio.gather(under_way, waiting, return_exceptions=True)
    assert (spend.spent, spend.reserved) == (Decimal(6), Decimal(0))
    with pytest.raises(CapReached, match=r"the call could cost \$6\.00, but only \$4\.00 of the cap is left"):
        spend.require(Decimal(6))


async def test_without_a_cap_everything_fits_and_is_counted() -> None:
    """The sum is known all the same."""
    spend = SpendTracker()
    async with spend.reserved_for(Decimal(1_000_000)) as reservation:
        reservation.settle(Decimal("0.25"))
    assert spend.spent == Decimal("0.25")
    assert spend.left is None
