"""A service's memory follows the database by itself."""

from __future__ import annotations

import asyncio

import pytest

from memory.errors import MemoryUnavailable
from memory.maintenance.outbox_poller import outbox_poller
from tests.support.incident_world import World, distinct, ids
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_what_is_resolved_while_a_service_runs_can_be_recalled_soon(world: World) -> None:
    """Without a command or a restart, and a failing index is tried again until it works."""
    memory = world.memory()
    process_outbox, failures = memory.maintenance.process_outbox, iter([True, True])

    async def failing_first() -> object:
        if next(failures, False):
            raise MemoryUnavailable("the index is gone for now")
        return await process_outbox()

    memory.maintenance.process_outbox = failing_first  # type: ignore[assignment,method-assign]
    async with outbox_poller(memory.maintenance, every_s=0.05):
        [number] = await world.add(distinct(1))
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    if ids(await world.recall(distinct(1).title, memory=memory)) == [number]:
                        break
                except MemoryUnavailable:
                    pass
                await asyncio.sleep(0.05)
    await world.add(distinct(2))
    await asyncio.sleep(0.2)
    assert (await memory.status()).lag == 1
