"""SIGKILL at any step of any change: nothing is lost, and the next run repairs memory."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from sqlalchemy import func, select

from memory.errors import MemoryUnavailable
from memory.index.chroma import ChromaIndex
from models import MemoryOutbox, ReviewStatus
from tests.support import maintenance_process
from tests.support.command_line import program
from tests.support.incident_world import LATER, World, distinct, ids
from tests.support.thinning import thinned

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.process]

_STEPS_OF = {
    "sync": ["before acknowledge", "after write rows"],
    "process_outbox": ["after store entries", "after acknowledge", "after write rows", "before remove rows"],
    "rebuild": ["before verify", "after flip"],
    "forget": ["after erase", "after flip", "before drop", "after drop"],
}
"""Between any two steps that leave something behind."""
CASES = [
    pytest.param(change, step.replace(" ", ":", 1), id=f"{change}, {step}")
    for change, steps in _STEPS_OF.items()
    for step in steps
]


async def _run(repository: Path, world: World, change: str, step: str) -> int:
    assert isinstance(world.index, ChromaIndex)
    process = await asyncio.create_subprocess_exec(
        *program(f"from {maintenance_process.__name__} import main; main()"),
        world.database.url.render_as_string(hide_password=False), str(world.index.folder), change, step,
        cwd=repository,
    )  # fmt: skip
    return await process.wait()


@pytest.mark.parametrize(("change", "step"), thinned(CASES, keep_every=3))
async def test_killed_at_any_step_the_next_run_repairs_memory(
    repository: Path, own_world: World, change: str, step: str
) -> None:
    """Resolved incidents are recalled, rejected and forgotten ones are not, and the outbox is empty.

    After a killed `process_outbox` the next one alone has to suffice, as in a second process beside a server.
    """
    numbers = await own_world.add(*(distinct(number) for number in range(1, 7)))
    await own_world.memory().sync()
    await own_world.index.close()
    await own_world.change(numbers[1], title="quokka zugzwang")
    await own_world.change(numbers[2], review=ReviewStatus.REJECTED)
    await own_world.add(distinct(7))
    assert await _run(repository, own_world, change, step) == -signal.SIGKILL
    await own_world.index.open()
    memory = own_world.memory()
    if change == "process_outbox":
        memory.maintenance._compared = (await memory.status()).collection
    elif change == "forget":
        await memory.maintenance.forget(["inc_1"], at=LATER)
    else:
        await getattr(memory.maintenance, change)()
        await memory.sync()
    await memory.maintenance.process_outbox()
    status = await memory.status()
    forgotten = change == "forget"
    held = 5 if forgotten else 6
    assert (status.unavailable, status.entries, status.vectors, status.lag, status.self_hit_rate) == (
        None, held, held, 0, 1.0
    )  # fmt: skip
    assert status.waiting == 0
    assert ids(await own_world.recall("quokka zugzwang", memory=memory)) == [numbers[1]]
    assert not ids(await own_world.recall(distinct(3).title, memory=memory))
    assert bool(ids(await own_world.recall(distinct(1).title, memory=memory))) is not forgotten
    assert {each.index.collection for each in status.kept} == set(await own_world.index.collections())


async def test_a_second_process_is_refused_and_harms_nothing(repository: Path, own_world: World) -> None:
    """While one process owns the folder another one's change ends with one line, and the owner goes on."""
    [number] = await own_world.add(distinct(1))
    memory = own_world.memory()
    await memory.sync()
    await own_world.add(distinct(2))
    assert await _run(repository, own_world, "sync", "none") == 1
    other = own_world.memory(index=ChromaIndex(own_world.index.folder))  # type: ignore[attr-defined]
    with pytest.raises(MemoryUnavailable, match=r"^[^\n]*is in use by process \d+; stop it or[^\n]*$"):
        await own_world.recall(distinct(1).title, memory=other)
    await memory.maintenance.process_outbox()
    async with own_world.database.read() as session:
        assert await session.scalar(select(func.count()).select_from(MemoryOutbox)) == 0
    assert ids(await own_world.recall(distinct(1).title, as_of=LATER, memory=memory)) == [number]
    assert (await memory.status()).lag == 0
