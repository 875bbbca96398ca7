"""The contract of every vector index: a Chroma folder of its own, or a Chroma server."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from memory.errors import CollectionMissing, MemoryUnavailable
from memory.index import contract
from memory.index.contract import Neighbor, VectorIndex
from tests.support.incident_world import EPOCH
from tests.support.index_rows import rows

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.process]


async def test_rows_are_found_by_cosine_before_their_moment(index: VectorIndex) -> None:
    """A query gives rows by falling cosine, resolved strictly before the moment."""
    name = "incidents-found-by-cosine"
    await index.create(name)
    stored = rows(range(250))
    await index.upsert(name, stored)
    cosines = stored.vectors[7] @ stored.vectors.T
    expected = sorted(range(250), key=lambda number: -cosines[number])
    [found] = await index.query(name, stored.vectors[7:8], limit=5)
    assert [int(one.key) for one in found] == expected[:5]
    assert found[0] == Neighbor("7", 1.0)
    assert [one.similarity for one in found] == pytest.approx([cosines[at] for at in expected[:5]], abs=1e-4)
    for before in (0, 1, 7, 8):
        moment = EPOCH + timedelta(hours=before)
        [found] = await index.query(name, stored.vectors[7:8], limit=9, known_before=moment)
        assert sorted(int(one.key) for one in found) == list(range(before))


async def test_rows_can_be_replaced_and_removed(index: VectorIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """Upserting is replacing, deleting what is not there is nothing, and stamps show what is stored."""
    monkeypatch.setattr(contract, "_ROWS_PER_READ", 50)
    monkeypatch.setattr(contract, "_IDS_PER_DELETE", 50)
    name = "incidents-replaced"
    await index.create(name)
    await index.upsert(name, rows(range(200)))
    await index.create(name)  # a repeated request
    assert await index.stamps(name) == {str(number): f"s{number}" for number in range(200)}
    await index.upsert(name, rows(range(3), stamp="new"))
    await index.delete(name, ["2", "never", *map(str, range(4, 200))])
    assert await index.stamps(name) == {"0": "new0", "1": "new1", "3": "s3"}
    assert await index.count(name) == 3


async def test_creating_and_dropping_can_be_repeated(index: VectorIndex) -> None:
    """Creating an existing collection keeps its rows; dropping a missing one is no error."""
    name, other = "incidents-dropped", "incidents-kept"
    for _ in range(2):
        for each in (name, other):
            await index.create(each)
            await index.upsert(each, rows(range(2)))
    assert await index.count(name) == 2
    for _ in range(2):
        await index.drop(name)
    names = await index.collections()
    assert (name in names, other in names) == (False, True)
    with pytest.raises(CollectionMissing, match=rf"has no collection {name}; run `arcpoint memory rebuild`"):
        await index.count(name)
    assert await index.count(other) == 2
    await index.create(name)
    assert await index.count(name) == 0


async def test_calls_of_many_tasks_get_their_own_answers(index: VectorIndex) -> None:
    """Answers go to those who asked, also when others that asked before them have given up."""
    name = "incidents-many-tasks"
    await index.create(name)
    stored = rows(range(100))
    await index.upsert(name, stored)

    async def find(number: int) -> int:
        [[nearest]] = await index.query(name, stored.vectors[number : number + 1], limit=1)
        return int(nearest.key)

    tasks = [asyncio.create_task(find(number)) for number in range(100)]
    await asyncio.sleep(0)
    for task in tasks[::3]:
        task.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [found[number] for number in range(100) if number % 3] == [n for n in range(100) if n % 3]
    assert await index.count(name) == 100


async def test_another_look_at_what_is_stored_changes_no_answer(index: VectorIndex) -> None:
    """What is queried is what is stored: closed and opened again, an index answers as it did before."""
    await index.create("incidents-lasting")
    await index.upsert("incidents-lasting", rows(range(300)))
    asked = rows(range(1000, 1010)).vectors
    moment = EPOCH + timedelta(hours=250)
    await index.delete("incidents-lasting", [str(number) for number in range(0, 300, 7)])
    moved = replace(rows(range(40, 60), stamp="new"), vectors=rows(range(20)).vectors)
    await index.upsert("incidents-lasting", moved)
    before = await index.query("incidents-lasting", asked, limit=30, known_before=moment)
    assert [len(found) for found in before] == [30] * 10
    await index.close()
    with pytest.raises(MemoryUnavailable, match="incident memory is closed"):
        await index.collections()
    await index.open()
    assert await index.query("incidents-lasting", asked, limit=30, known_before=moment) == before
    assert "incidents-lasting" in await index.collections()


async def test_what_cannot_be_compared_is_refused(index: VectorIndex) -> None:
    """An empty collection has no hits, one of longer vectors says so, and of none every call says that."""
    asked = rows(range(3)).vectors
    await index.create("incidents-empty")
    await index.delete("incidents-empty", ["never"])
    assert await index.query("incidents-empty", asked, limit=3, known_before=EPOCH) == [[], [], []]
    assert (await index.stamps("incidents-empty"), await index.count("incidents-empty")) == ({}, 0)
    await index.upsert("incidents-empty", rows(range(3)))
    with pytest.raises(MemoryUnavailable, match="incidents-empty has vectors of 16 numbers"):
        await index.query("incidents-empty", asked[:, :5], limit=1)
    for call in (
        index.query("incidents-none", asked, limit=1),
        index.upsert("incidents-none", rows(range(2))),
        index.delete("incidents-none", ["1"]),
        index.stamps("incidents-none"),
        index.count("incidents-none"),
    ):
        with pytest.raises(CollectionMissing, match="no collection incidents-none; run `arcpoint memory"):
            await call


async def test_many_rows_alike_are_told_apart_by_the_moment_alone(index: VectorIndex) -> None:
    """Rows that were not known yet never take the place of those that were, however many are as close."""
    name = "incidents-alike"
    await index.create(name)
    stored = rows(range(300))
    await index.upsert(name, replace(stored, vectors=stored.vectors[[0] * 299 + [1]]))
    moment = EPOCH + timedelta(hours=5)
    [found] = await index.query(name, stored.vectors[:1], limit=20, known_before=moment)
    assert sorted(found, key=lambda one: one.key) == [Neighbor(str(number), 1.0) for number in range(5)]
    [found] = await index.query(name, stored.vectors[:1], limit=20)
    assert [one.similarity for one in found] == [1.0] * 20
