"""Syncing: memory follows the database, whatever interrupts it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select

from context_builder.text.redaction import Redaction
from memory.embedding.embedder import Vectors
from memory.embedding.hashing import HashingEmbedder
from memory.errors import MemoryUnavailable
from memory.incident_memory import IncidentMemory
from models import Incident, MemoryIndex
from tests.support.incident_world import LATER, World, distinct, ids, incident

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.both_databases
async def test_only_what_changed_is_embedded_again(world: World) -> None:
    """A second sync does nothing; after changes, one embeds, moves and removes exactly what changed."""
    numbers = await world.add(*(distinct(number) for number in range(10)))
    memory = world.memory()
    first = await memory.sync()
    assert (first.entries, first.embedded, first.upserted) == (10, 10, 10)
    again = await memory.sync()
    assert (again.entries, again.embedded, again.removed, again.upserted, again.deleted) == (10, 0, 0, 0, 0)
    await world.change(numbers[0], root_cause="something else altogether")
    await world.change(
        numbers[1], resolved_at=LATER
    )  # the text stays, the time that the index filters by moves
    await world.change(numbers[2], severity="low")  # not part of the text
    await world.change(numbers[3], status="active", resolved_at=None)
    await world.add(distinct(10))
    changed = await memory.sync()
    assert changed.collection == first.collection
    assert (changed.entries, changed.embedded, changed.removed, changed.upserted, changed.deleted) == (
        10, 2, 1, 3, 2
    )  # fmt: skip
    status = await memory.status()
    assert (status.unavailable, status.entries, status.vectors, status.lag) == (None, 10, 10, 0)
    assert status.self_hit_rate == 1.0


async def test_status_counts_what_a_recall_cannot_find_yet(world: World) -> None:
    """Lag is the number of resolved incidents that are new or changed since the last sync of the index."""
    await world.add(distinct(1), distinct(2, status="active", resolved_at=None))
    assert (await world.memory().status()).lag == 1
    await world.memory().sync()
    await world.add(distinct(3), distinct(4))
    assert (await world.memory().status()).lag == 2


@pytest.mark.both_databases
async def test_a_deleted_incident_is_forgotten(world: World) -> None:
    """When an incident and its entry are gone from the database, the index forgets it too."""
    kept, gone = await world.add(distinct(1), distinct(2))
    memory = world.memory()
    await memory.sync()
    await world.change(gone, status="active", resolved_at=None)
    await memory.sync()
    async with world.database.write() as session:
        await session.delete(await session.get_one(Incident, gone))
    report = await memory.sync()
    assert (report.entries, report.deleted) == (1, 0)
    assert ids(await world.recall(distinct(1).title, distinct(2).title, memory=memory)) == [kept]


class DyingEmbedder(HashingEmbedder):
    """Works for some batches, then fails."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.batches = batches

    async def embed(self, texts: Sequence[str]) -> Vectors:
        if self.batches == 0:
            raise MemoryUnavailable("the model is gone")
        self.batches -= 1
        return await super().embed(texts)


async def test_a_sync_that_fails_half_way_keeps_what_it_did_and_the_next_one_goes_on(world: World) -> None:
    """Nothing is half-written: no index serves before it is whole, and finished work is kept."""
    await world.add(*(distinct(number) for number in range(100)))
    with pytest.raises(MemoryUnavailable, match="the model is gone"):
        await world.memory(embedder=DyingEmbedder(2)).sync()
    with pytest.raises(MemoryUnavailable, match="no memory index has been built yet"):
        await world.recall("anything")
    report = await world.memory().sync()
    assert report.entries == 100
    assert 0 < report.embedded < 100


async def test_a_sync_cancelled_anywhere_can_be_repeated(world: World) -> None:
    """Wherever it is stopped, the next sync brings entries and index up to date."""
    await world.add(*(distinct(number) for number in range(60)))
    chance = random.Random(3)  # noqa: S311  repeatable, not secret
    for _ in range(12):
        syncing = asyncio.create_task(world.memory().sync())
        await asyncio.sleep(chance.random() * 0.15)
        syncing.cancel()
        await asyncio.wait([syncing])
    await world.memory().sync()
    status = await world.memory().status()
    assert (status.unavailable, status.entries, status.vectors, status.lag) == (None, 60, 60, 0)
    assert len((await world.recall(distinct(33).title)).recollections) == 1
    await _assert_no_leftovers(world)


async def test_syncs_at_the_same_time_agree_on_one_index(world: World) -> None:
    """Of several first syncs at once one builds the index that serves; the others join it."""
    await world.add(*(distinct(number) for number in range(40)))
    reports = await asyncio.gather(*(world.memory().sync() for _ in range(4)))
    assert len({report.collection for report in reports}) == 1
    assert {report.entries for report in reports} == {40}
    assert (await world.memory().status()).lag == 0
    await _assert_no_leftovers(world)


async def test_incidents_that_change_while_a_sync_runs_are_right_after_the_next(world: World) -> None:
    """Incidents added, changed and reopened under a running sync do no harm that the next one leaves."""
    numbers = await world.add(*(distinct(number) for number in range(60)))

    async def disturb() -> None:
        for at, number in enumerate(numbers[::6]):
            await world.change(number, status="active", resolved_at=None)
            await world.change(number + 1, title=f"changed {number}")
            await world.add(distinct(100 + at))

    await asyncio.gather(world.memory().sync(), disturb())
    await world.memory().sync()
    status = await world.memory().status()
    assert (status.unavailable, status.entries, status.lag) == (None, 60, 0)


async def _assert_no_leftovers(world: World) -> None:
    """Every collection in the index has served; none is unfinished."""
    await world.memory().sync()
    async with world.database.read() as session:
        unserved = await session.scalars(
            select(MemoryIndex.collection).where(MemoryIndex.activated_at.is_(None))
        )
        assert not await world.index.collections() & set(unserved)


async def test_a_copy_of_the_index_that_lacks_the_collection_gets_it(sqlite_world: World) -> None:
    """A second service with a folder of its own fills it by syncing; the collection keeps its name."""
    [number] = await sqlite_world.add(distinct(1))
    first = await sqlite_world.memory().sync()
    await sqlite_world.index.drop(first.collection)
    with pytest.raises(
        MemoryUnavailable, match=r"has no collection incidents-.*; run `arcpoint memory rebuild`"
    ):
        await sqlite_world.recall("anything")
    second = await sqlite_world.memory().sync()
    assert (second.collection, second.upserted, second.embedded) == (first.collection, 1, 0)
    assert ids(await sqlite_world.recall(distinct(1).title)) == [number]


async def test_an_entry_with_a_damaged_embedding_is_made_again(sqlite_world: World) -> None:
    """An embedding with too few numbers never reaches the index."""
    await sqlite_world.add(distinct(1), distinct(2))
    memory = sqlite_world.memory()
    await memory.sync()
    before = await sqlite_world.entries()
    async with sqlite_world.database.write() as session:
        connection = await session.connection()
        await connection.exec_driver_sql(
            "UPDATE memory_entries SET embedding = x'0000' WHERE incident_id = 1"
        )
    assert (await memory.sync()).embedded == 1
    assert await sqlite_world.entries() == before


async def test_secrets_are_replaced_before_anything_is_embedded_or_stored(sqlite_world: World) -> None:
    """Law 7: what the redaction replaces is neither in an entry nor in what the embedder sees."""
    seen: list[str] = []

    class Witness(HashingEmbedder):
        async def embed(self, texts: Sequence[str]) -> Vectors:
            seen.extend(texts)
            return await super().embed(texts)

    secret = "hunter2"
    texts: dict[str, Any] = dict.fromkeys(
        ("title", "symptoms", "target", "root_cause", "resolution"), f"password={secret}"
    )
    await sqlite_world.add(incident(1, **texts))
    memory = sqlite_world.memory(embedder=Witness(), redact=lambda text: text.replace(secret, "[secret]"))
    await memory.sync()
    await sqlite_world.recall(f"password={secret}", memory=memory)
    [(_, text, _)] = await sqlite_world.entries()
    assert text.count("[secret]") == 5
    assert len(seen) == 2
    assert not any(secret in each for each in [text, *seen])


async def test_a_secret_is_replaced_before_its_text_is_cut(sqlite_world: World) -> None:
    """Law 7: no part is left of a token at the limit of a field."""
    token = f"sk-ant-api03-{'Xy7' * 20}"
    await sqlite_world.add(incident(1, symptoms=f"{'ordinary words ' * 132}{token}"))
    await sqlite_world.memory(redact=Redaction().without_digest).sync()
    [(_, text, _)] = await sqlite_world.entries()
    assert "Xy7" not in text


async def test_progress_never_goes_back_and_ends_complete(sqlite_world: World) -> None:
    """What a progress bar is told rises to the total, on the first sync and on one with nothing to do."""
    await sqlite_world.add(*(distinct(number) for number in range(250)))
    memory: IncidentMemory = sqlite_world.memory()
    for _ in range(2):
        told: list[tuple[int, int]] = []
        await memory.sync(partial(_note, told))
        assert [done for done, _ in told] == sorted(done for done, _ in told)
        assert {total for _, total in told} == {500}
        assert told[-1] == (500, 500)


def _note(told: list[tuple[int, int]], done: int, total: int) -> None:
    told.append((done, total))
