"""Law 9: the event loop is never blocked by embedding, hashing or writing to the index."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator

import pytest

from tests.support.incident_world import World, distinct
from tests.support.loop_ticker import Ticker

pytestmark = pytest.mark.asyncio(loop_scope="session")

INCIDENTS = 1_000


@pytest.fixture
def frozen_garbage() -> Iterator[None]:
    """Hides what the test suite has loaded from the garbage collector, which stops all to look at it."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("frozen_garbage")
async def test_the_loop_stays_quick_while_a_thousand_incidents_are_indexed(sqlite_world: World) -> None:
    """Law 9: no step takes a twentieth of the whole, and recalls go on while memory embeds and indexes."""
    await sqlite_world.add(*(distinct(number) for number in range(INCIDENTS)))
    memory = sqlite_world.memory()
    ticker, began = Ticker(), time.perf_counter()
    ticking = asyncio.create_task(ticker.run())
    first = await memory.sync()
    rebuilding = asyncio.create_task(memory.rebuild())
    answered = 0
    while not rebuilding.done():
        recall = await sqlite_world.recall(distinct(answered).title, memory=memory, limit=1)
        assert [one.title for one in recall.recollections] == [distinct(answered).title]
        answered += 1
    ticking.cancel()
    whole = time.perf_counter() - began
    assert (first.embedded, first.upserted, (await rebuilding).upserted) == (INCIDENTS,) * 3
    assert answered > 3
    assert len(ticker.lags) > 100
    assert max(ticker.lags) < whole / 20
