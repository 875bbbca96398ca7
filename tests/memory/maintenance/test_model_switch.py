"""Changing the embedding model: blue and green beside each other, and back again."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from memory.embedding.hashing import HashingEmbedder
from memory.errors import MemoryUnavailable, UnknownIndex
from memory.index.active_index import BuiltIndex, register
from models import MemoryEntry
from tests.support.incident_world import World, distinct, ids

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _entries(world: World) -> dict[str, int]:
    async with world.database.read() as session:
        rows = await session.execute(
            select(MemoryEntry.model_id, func.count()).group_by(MemoryEntry.model_id)
        )
        return {row[0]: row[1] for row in rows}


@pytest.mark.both_databases
async def test_a_switch_keeps_the_old_index_whole_until_it_is_dropped(world: World) -> None:
    """Both models' entries and collections stand side by side; going back embeds nothing; a drop removes."""
    numbers = await world.add(*(distinct(number) for number in range(20)))
    blue = world.memory()
    old = await blue.sync()
    green = world.memory(embedder=HashingEmbedder(128))
    new = await green.rebuild()
    assert (new.embedded, await _entries(world)) == (20, {"hashing-128": 20, "hashing-512": 20})
    with pytest.raises(MemoryUnavailable, match="model is hashing-128 instead of hashing-512"):
        await world.recall("anything", memory=blue)
    assert ids(await world.recall(distinct(7).title, memory=green)) == [numbers[7]]
    with pytest.raises(MemoryUnavailable, match="model is hashing-512 instead of hashing-128"):
        await green.maintenance.activate(old.collection)
    await world.add(distinct(20))
    back = await blue.maintenance.activate(old.collection)
    assert (back.collection, back.embedded, back.upserted) == (old.collection, 1, 1)
    assert len((await world.recall(distinct(20).title, memory=blue)).recollections) == 1
    await blue.maintenance.drop(new.collection)
    assert await _entries(world) == {"hashing-512": 21}
    assert new.collection not in await world.index.collections()
    assert [each.index.collection for each in await blue.maintenance.kept()] == [old.collection]


async def test_what_serves_cannot_be_dropped_nor_what_is_unknown_activated(world: World) -> None:
    """The index in use is safe from a slip of the pen, and a wrong name is told so."""
    await world.add(distinct(1))
    memory = world.memory()
    report = await memory.sync()
    for refused in (memory.maintenance.drop(report.collection), memory.maintenance.drop("incidents-no"),
                    memory.maintenance.activate("incidents-no")):  # fmt: skip
        with pytest.raises(UnknownIndex, match="see `arcpoint memory status`"):
            await refused
    assert (await memory.status()).lag == 0


async def test_an_index_that_is_being_built_cannot_be_dropped(world: World) -> None:
    """What another process has only begun is not taken from under it."""
    await world.add(distinct(1))
    memory = world.memory()
    await memory.sync()
    begun = BuiltIndex.with_new_name(world.embedder)
    await register(world.database, begun)
    with pytest.raises(UnknownIndex, match="is kept beside the active one"):
        await memory.maintenance.drop(begun.collection)


async def test_dropping_one_of_two_indexes_of_one_model_keeps_its_entries(world: World) -> None:
    """Entries go with the last index that is made of them, not before."""
    await world.add(distinct(1))
    memory = world.memory()
    first = await memory.sync()
    await memory.rebuild()
    await memory.maintenance.drop(first.collection)
    assert await _entries(world) == {"hashing-512": 1}
    assert (await memory.status()).lag == 0
