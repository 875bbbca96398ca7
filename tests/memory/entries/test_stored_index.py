"""The index that searches the embeddings in SQL answers as a Chroma folder does, with nothing to start."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from memory.embedding.hashing import HashingEmbedder
from memory.entries.stored_index import StoredIndex
from memory.errors import MemoryReadOnly
from tests.support.incident_world import EPOCH, SCENES, World, distinct, ids, incident

pytestmark = pytest.mark.asyncio(loop_scope="session")

SOME = ["requests wait for a connection", "rate limit", *(title for title, *_ in SCENES)]


@pytest.mark.process
@pytest.mark.both_databases
async def test_it_recalls_what_a_chroma_folder_recalls(world: World) -> None:
    """For any question and any past moment both kinds of index give the same recall."""
    await world.add(*(incident(number, number) for number in range(20)), *map(distinct, range(20, 30)))
    await world.memory().sync()
    stored = replace(world, index=StoredIndex(world.database, world.embedder))
    memory = stored.memory()
    for hours in (0, 3, 9, 500):
        moment = EPOCH + timedelta(hours=hours)
        for text in SOME:
            expected = await world.recall(text, as_of=moment, limit=5)
            assert await stored.recall(text, as_of=moment, limit=5, memory=memory) == expected
    assert ids(await stored.recall(SOME[0], memory=memory))


@pytest.mark.process
async def test_it_follows_the_entries(sqlite_world: World) -> None:
    """An index that is open finds what was added and changed since, and not what was rejected."""
    first, second = await sqlite_world.add(incident(1, 1), incident(2, 2))
    await sqlite_world.memory().sync()
    stored = replace(sqlite_world, index=StoredIndex(sqlite_world.database, sqlite_world.embedder))
    memory = stored.memory()
    assert first in ids(await stored.recall(SCENES[1][0], memory=memory))
    await sqlite_world.change(first, title="wholly different words", symptoms=SCENES[3][2])
    [third] = await sqlite_world.add(incident(3, 4))
    await sqlite_world.change(second, review="rejected")
    await sqlite_world.memory().sync()
    assert third in ids(await stored.recall(SCENES[4][0], memory=memory))
    assert second not in ids(await stored.recall(SCENES[2][0], memory=memory))
    assert ids(await stored.recall("wholly different words", memory=memory))[0] == first


async def test_it_changes_nothing(sqlite_world: World) -> None:
    """Every operation but a query is refused, with the command that can do it."""
    index = StoredIndex(sqlite_world.database, HashingEmbedder())
    await index.open()
    for refused in (index.reset(), index.create("x"), index.drop("x"), index.count("x")):
        with pytest.raises(MemoryReadOnly, match="`arcpoint memory` changes incident memory"):
            await refused
    await index.close()
