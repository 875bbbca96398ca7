"""The outbox: memory processes every change, no matter who made it, and misses none."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text

from memory.entries.changes import Changes
from memory.entries.entries import Entries
from memory.errors import MemoryReadOnly
from memory.incident_memory import IncidentMemory
from memory.index.active_index import activate
from memory.maintenance import collection
from memory.recall.results import RecallQuery
from models import MemoryOutbox, Postmortem, Provenance, ReviewStatus
from models.database import Database
from tests.support.incident_world import EPOCH, LATER, World, distinct, ids, incident

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _waiting(world: World) -> int:
    async with world.database.read() as session:
        return await session.scalar(select(func.count()).select_from(MemoryOutbox)) or 0


async def _up_to_date(world: World) -> IncidentMemory:
    memory = world.memory()
    await memory.sync()
    await memory.maintenance.process_outbox()
    assert await _waiting(world) == 0
    return memory


@pytest.mark.both_databases
async def test_processing_the_outbox_updates_exactly_what_changed(world: World) -> None:
    """New, changed, reopened, rejected and moved incidents are processed; the rest is not even read."""
    numbers = await world.add(*(distinct(number) for number in range(8)))
    memory = await _up_to_date(world)
    await world.change(numbers[0], root_cause="something else altogether")
    await world.change(numbers[1], resolved_at=LATER)
    await world.change(numbers[2], status="active", resolved_at=None)
    await world.change(numbers[3], review=ReviewStatus.REJECTED)
    await world.change(numbers[4], severity="low")
    await world.add(distinct(8), distinct(9, status="active", resolved_at=None))
    report = await memory.maintenance.process_outbox()
    assert (report.embedded, report.removed, report.upserted, report.deleted) == (2, 2, 3, 3)
    assert await _waiting(world) == 0
    status = await memory.status()
    assert (status.unavailable, status.lag, status.vectors, status.rejected) == (None, 0, 7, 1)
    again = await memory.maintenance.process_outbox()
    assert (again.embedded, again.removed, again.upserted, again.deleted) == (0, 0, 0, 0)


@pytest.mark.both_databases
async def test_a_writer_that_knows_nothing_of_memory_is_noticed(world: World) -> None:
    """Plain SQL of any program fills the outbox; a transaction that fails leaves nothing in it."""
    [number] = await world.add(distinct(1))
    memory = await _up_to_date(world)
    async with world.database.write() as session:
        await session.execute(
            text("UPDATE incidents SET title = 'quokka zugzwang' WHERE id = :id"), {"id": number}
        )
    assert await _waiting(world) == 1
    await memory.maintenance.process_outbox()
    assert ids(await world.recall("quokka zugzwang", memory=memory)) == [number]

    async def fail() -> None:
        async with world.database.write() as session:
            await session.execute(text("UPDATE incidents SET title = 'lost'"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert await _waiting(world) == 0


@pytest.mark.parametrize(
    ("owner", "step"),
    [
        pytest.param(Entries, "refresh_incidents", id="while entries are refreshed"),
        pytest.param(collection, "update_rows", id="while rows are written"),
    ],
)
async def test_a_change_survives_a_failure_half_way_without_a_sync(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch, owner: object, step: str
) -> None:
    """A living process has only the outbox: what fails once is done by the next call, without a sync."""
    [number] = await sqlite_world.add(distinct(1))
    memory = await _up_to_date(sqlite_world)
    await sqlite_world.change(number, title="quokka zugzwang")

    async def fail(*_: object) -> None:
        raise OSError("the disk is full")

    async def full_sync(*_: object) -> None:
        pytest.fail("a full sync hides what the outbox has lost")

    monkeypatch.setattr(memory.maintenance, "sync", full_sync)
    with monkeypatch.context() as broken:
        broken.setattr(owner, step, fail)
        with pytest.raises(OSError, match="the disk is full"):
            await memory.maintenance.process_outbox()
    await memory.maintenance.process_outbox()
    assert await _waiting(sqlite_world) == 0
    assert ids(await sqlite_world.recall("quokka zugzwang", memory=memory)) == [number]


@pytest.mark.both_databases
async def test_a_change_between_reading_and_writing_the_index_is_not_undone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow process that deletes a row, which a fast one has just put back, puts it back itself."""
    [number] = await world.add(distinct(1))
    slow = await _up_to_date(world)
    await world.change(number, status="active", resolved_at=None)
    read, reopened = Entries.texts, asyncio.Event()

    async def texts(self: Entries, keys: object = None) -> object:
        found = await read(self, keys)  # type: ignore[arg-type]
        if not reopened.is_set():
            reopened.set()
            await world.change(number, status="resolved", resolved_at=LATER - timedelta(days=1))
            fast = world.memory()
            await fast.sync()
        return found

    monkeypatch.setattr(Entries, "texts", texts)
    await slow.maintenance.process_outbox()
    monkeypatch.undo()
    assert ids(await world.recall(distinct(1).title)) == [number]
    assert (await world.memory().status()).lag == 0


async def test_what_waits_while_another_index_comes_to_serve_is_not_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that were written only to the old collection stay queued for the new one."""
    [number] = await world.add(distinct(1))
    memory, other = await _up_to_date(world), world.memory()
    await other.rebuild()
    new, old = (each.index for each in await other.maintenance.kept())
    await memory.maintenance.activate(old.collection)
    await world.change(number, title="quokka zugzwang")
    update_rows = collection.update_rows

    async def update_and_be_overtaken(*arguments: object) -> Changes:
        rows = await update_rows(*arguments)  # type: ignore[arg-type]
        monkeypatch.undo()
        assert await activate(world.database, new, instead_of=old)
        return rows

    monkeypatch.setattr(collection, "update_rows", update_and_be_overtaken)
    await memory.maintenance.process_outbox()
    await other.maintenance.process_outbox()
    assert await _waiting(world) == 0
    assert ids(await world.recall("quokka zugzwang", memory=other)) == [number]
    assert (await other.status()).lag == 0


async def test_a_postmortem_is_taken_in_from_the_moment_it_told_something(world: World) -> None:
    """Its text is recalled from then on and not before, by words that the record lacks."""
    [number] = await world.add(incident(1, 0, root_cause=None, resolution=None))
    memory = await _up_to_date(world)
    written = LATER
    async with world.database.write() as session:
        session.add(
            Postmortem(
                incident_id=number, provenance=Provenance.MODEL, markdown="", summary="",
                root_cause="zugzwang of the quokka", resolution="fed it", created_at=written,
            )
        )  # fmt: skip
    await memory.maintenance.process_outbox()
    [later] = (
        await world.recall("zugzwang of the quokka", as_of=LATER + (LATER - EPOCH), memory=memory)
    ).recollections
    assert (later.incident_id, later.root_cause, later.status, later.provenance) == (
        number, "zugzwang of the quokka", "draft", "model"
    )  # fmt: skip
    assert later.recurrences == 1
    assert not (await world.recall("zugzwang of the quokka", as_of=written, memory=memory)).recollections
    [before] = (await world.recall(incident(1, 0).title, as_of=written, memory=memory)).recollections
    assert (before.root_cause, before.status) == (None, "approved")


async def test_an_evaluation_cannot_change_memory(sqlite_world: World) -> None:
    """Opened for reading only, memory recalls and refuses every change before anything is touched."""
    [number] = await sqlite_world.add(distinct(1))
    kept = await sqlite_world.memory().sync()
    await sqlite_world.add(distinct(2))
    reading = Database(str(sqlite_world.database.url), read_only=True)
    memory = IncidentMemory(reading, sqlite_world.embedder, sqlite_world.index, deadline_s=20)
    maintenance = memory.maintenance
    for change in (
        maintenance.sync(), maintenance.rebuild(), maintenance.process_outbox(),
        maintenance.activate(kept.collection), maintenance.drop("other"),
        maintenance.forget(["inc_1"], at=LATER),
    ):  # fmt: skip
        with pytest.raises(MemoryReadOnly, match="nothing was changed"):
            await change
    async with reading.read() as session:
        found = await memory.recall(session, [RecallQuery(text=distinct(1).title)], as_of=LATER)
    await reading.close()
    assert ids(found) == [number]
    assert (await sqlite_world.memory().status()).lag == 1
