"""Deadlines count the time in which the loop was free."""

from __future__ import annotations

import asyncio
import time

import pytest

from context_builder.deadlines import Deadlines


async def test_a_hanging_read_ends_at_its_deadline() -> None:
    """On a free event loop nothing is added."""
    with pytest.raises(TimeoutError):
        async with Deadlines().within(0.05):
            await asyncio.Event().wait()


async def test_a_read_that_waits_for_the_processor_is_not_late() -> None:
    """Time in which the loop ran something else does not count, however much of it there was."""
    deadlines, loop = Deadlines(), asyncio.get_running_loop()

    async def busy() -> None:
        for _ in range(6):
            time.sleep(0.1)  # noqa: ASYNC251  another task holds the processor
            await asyncio.sleep(0)

    began = loop.time()
    async with deadlines.within(0.3):
        await asyncio.create_task(busy())
    assert loop.time() - began > 0.3
    assert not deadlines._active


async def test_a_processor_that_is_never_free_does_not_stretch_it_for_ever() -> None:
    """A deadline passes at the latest at ten times its length."""
    deadlines = Deadlines()
    with pytest.raises(TimeoutError):
        async with deadlines.within(0.03):
            while True:
                time.sleep(0.1)  # noqa: ASYNC251  as above
                await asyncio.sleep(0)
