"""Work that is done once for all who wait for it."""

from __future__ import annotations

import asyncio

import pytest

from context_builder.shared_work import SharedWork


class Work:
    """Counts how often it was begun and cancelled; its end is given by hand."""

    def __init__(self) -> None:
        self.begun = self.cancelled = 0
        self.may_end = asyncio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            await asyncio.sleep(0)
            raise
        return self.begun


async def test_it_is_done_once() -> None:
    """All who ask for a key, at once or later, get the result of one task."""
    shared, work = SharedWork(), Work()
    waiting = [asyncio.create_task(shared.result("key", work)) for _ in range(20)]
    await asyncio.sleep(0)
    assert shared.known("key") is None
    work.may_end.set()
    assert [await task for task in waiting] == [1] * 20
    assert shared.known("key") == await shared.result("key", work) == 1
    await shared.close()


async def test_who_gives_up_takes_it_from_nobody() -> None:
    """The task goes on while anyone waits for it, and ends with the last."""
    shared, work = SharedWork(), Work()
    first, second = (asyncio.create_task(shared.result("key", work)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait({first})
    assert (work.begun, work.cancelled) == (1, 0)
    second.cancel()
    await asyncio.wait({second})
    await shared.close()
    assert (work.begun, work.cancelled) == (1, 1)


async def test_a_failure_is_shared() -> None:
    """Everybody is told of it, and it is not tried again before the work is closed."""

    async def fail() -> int:
        fail_count.append(1)
        raise OSError("no disk")

    fail_count: list[int] = []
    shared = SharedWork()
    for _ in range(2):
        with pytest.raises(OSError, match="no disk"):
            await shared.result("key", fail)
    assert (len(fail_count), shared.known("key")) == (1, None)
    await shared.close()


async def test_closing_waits_for_the_clean_up_of_what_was_abandoned() -> None:
    """A connection that a cancelled task still gives back is not closed under it."""
    cleaned = asyncio.Event()

    async def slow_to_end() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            cleaned.set()
        return 0

    shared = SharedWork()
    waiting = asyncio.create_task(shared.result("key", slow_to_end))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert not cleaned.is_set()
    await shared.close()
    assert cleaned.is_set()
