"""Which tick a question gets, and when a tick ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

import context_builder.tick.ticks as ticks_module
from context_builder.tick.tick import Tick
from context_builder.tick.ticks import Ticks
from tests.support.patience import PATIENCE_S

MAX_AGE_S = 10.0


class Clock:
    """The monotonic clock of the ticks, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


class Opener:
    """Opens numbered ticks; `open` are those that are not closed."""

    def __init__(self) -> None:
        self.opened = 0
        self.open: set[int] = set()
        self.fails = False
        self.gate = asyncio.Event()
        self.gate.set()

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Tick]:
        await self.gate.wait()
        if self.fails:
            raise OSError("the database is away")
        self.opened += 1
        number = self.opened
        self.open.add(number)
        try:
            yield cast("Tick", number)
        finally:
            self.open.discard(number)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(ticks_module, "time", clock)
    return clock


async def number_of(ticks: Ticks) -> int:
    async with ticks.live() as tick:
        return cast("int", tick)


async def settled(opener: Opener, still_open: set[int]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while opener.open != still_open:  # noqa: ASYNC110  ticks close in tasks of their own
            await asyncio.sleep(0)


async def test_questions_of_a_moment_share_a_tick(clock: Clock) -> None:
    """However many ask at once, one snapshot is opened, and none is older than the limit when they begin."""
    opener = Opener()
    ticks = Ticks(opener, max_age_s=MAX_AGE_S)
    assert set(await asyncio.gather(*(number_of(ticks) for _ in range(50)))) == {1}
    clock.now += MAX_AGE_S - 0.001
    assert await number_of(ticks) == 1
    clock.now += 0.001
    assert set(await asyncio.gather(*(number_of(ticks) for _ in range(50)))) == {2}
    await settled(opener, {2})
    await ticks.close()
    assert not opener.open


async def test_a_limit_of_zero_gives_every_question_its_own(clock: Clock) -> None:
    """Nothing is shared, and everything is closed at once."""
    opener = Opener()
    ticks = Ticks(opener)
    assert [await number_of(ticks) for _ in range(3)] == [1, 2, 3]
    assert not opener.open


async def test_a_tick_in_use_is_not_closed(clock: Clock) -> None:
    """A question that outlasts its tick keeps it open, and its end closes it."""
    opener = Opener()
    ticks = Ticks(opener, max_age_s=MAX_AGE_S)
    async with ticks.live() as first:
        clock.now += 5 * MAX_AGE_S
        assert await number_of(ticks) == 2
        assert opener.open == {first, 2}
    await settled(opener, {2})
    await ticks.close()


async def test_a_tick_ends_even_if_nobody_asks_again() -> None:
    """An idle service holds no snapshot open."""
    opener = Opener()
    ticks = Ticks(opener, max_age_s=0.01)
    assert await number_of(ticks) == 1
    await settled(opener, set())
    await ticks.close()


async def test_the_next_tick_is_made_beside_and_read_ahead(clock: Clock) -> None:
    """Late in a tick the next one is opened and prepared, and only then used; nobody waits for it."""
    opener, prepared = Opener(), asyncio.Event()
    begun: list[int] = []

    async def prepare(tick: Tick) -> None:
        begun.append(cast("int", tick))
        await prepared.wait()

    ticks = Ticks(opener, max_age_s=MAX_AGE_S, prepare=prepare)
    assert await number_of(ticks) == 1
    clock.now += 0.9 * MAX_AGE_S
    assert await number_of(ticks) == 1
    async with asyncio.timeout(PATIENCE_S):
        while not begun:  # noqa: ASYNC110  it is prepared in a task of its own
            await asyncio.sleep(0)
    assert await number_of(ticks) == 1, "it is not used before it is prepared"
    prepared.set()
    await settled(opener, {2})
    assert await number_of(ticks) == 2
    assert begun == [2]
    await ticks.close()


async def test_a_tick_that_is_late_is_used_unprepared(clock: Clock) -> None:
    """Reading ahead never makes a question wait, and never makes it see older data."""
    opener = Opener()

    async def prepare(_tick: Tick) -> None:
        await asyncio.Event().wait()

    ticks = Ticks(opener, max_age_s=MAX_AGE_S, prepare=prepare)
    assert await number_of(ticks) == 1
    clock.now += 0.9 * MAX_AGE_S
    assert await number_of(ticks) == 1
    await settled(opener, {1, 2})
    clock.now += 0.2 * MAX_AGE_S
    assert await number_of(ticks) == 2
    clock.now += 0.9 * MAX_AGE_S
    assert await number_of(ticks) == 3
    await ticks.close()  # does not wait for what is read ahead
    assert not opener.open


async def test_a_tick_that_cannot_be_opened_fails_those_who_wait_for_it_and_nobody_else(clock: Clock) -> None:
    """The next question tries again."""
    opener = Opener()
    opener.fails = True
    ticks = Ticks(opener, max_age_s=MAX_AGE_S)
    results = await asyncio.gather(*(number_of(ticks) for _ in range(5)), return_exceptions=True)
    assert [str(result) for result in results] == ["the database is away"] * 5
    opener.fails = False
    assert await number_of(ticks) == 1
    await ticks.close()


async def test_a_cancelled_question_leaves_the_tick_to_the_others(clock: Clock) -> None:
    """Who gives up while a tick opens takes nothing from those who wait with them."""
    opener = Opener()
    opener.gate.clear()
    ticks = Ticks(opener, max_age_s=MAX_AGE_S)
    gone, stays = (asyncio.create_task(number_of(ticks)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    opener.gate.set()
    assert await stays == 1
    with pytest.raises(asyncio.CancelledError):
        await gone
    await ticks.close()
    assert not opener.open


async def test_what_this_process_wrote_is_in_the_next_answer(clock: Clock) -> None:
    """After `expire` no question gets a tick from before."""
    opener = Opener()
    ticks = Ticks(opener, max_age_s=MAX_AGE_S)
    assert await number_of(ticks) == 1
    ticks.expire()
    assert await number_of(ticks) == 2
    await ticks.close()
