"""Law 8: the index can be lost, damaged or taken away, and is rebuilt from the database without loss."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select

from memory.embedding.hashing import HashingEmbedder
from memory.errors import MemoryCorrupt, MemoryUnavailable
from memory.index.chroma import ChromaIndex
from memory.index.chroma_server import ChromaServerIndex
from memory.index.contract import IndexRows, VectorIndex
from memory.recall.results import Recall
from models import MemoryIndex
from models.database import Database
from tests.support.incident_world import LATER, SCENES, World, distinct, incident

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.process]

TEXTS = [f"{title} {symptoms}" for title, _, symptoms, _, _ in SCENES]


async def _recalls(world: World) -> list[Recall]:
    return [await world.recall(text) for text in TEXTS]


async def test_a_deleted_folder_is_rebuilt_with_the_same_recalls(own_world: World, folder: Path) -> None:
    """Law 8: nothing is in Chroma alone; rebuilt from the database it answers exactly as before."""
    await own_world.add(*(incident(number, number % len(SCENES)) for number in range(300)))
    memory = own_world.memory()
    before = await memory.sync()
    answers = await _recalls(own_world)
    assert all(answer.recollections for answer in answers)
    await own_world.index.close()
    await asyncio.to_thread(shutil.rmtree, folder)
    await own_world.index.open()
    rebuilt = await memory.rebuild()
    assert await _recalls(own_world) == answers
    assert rebuilt.collection != before.collection
    assert (rebuilt.entries, rebuilt.embedded, rebuilt.upserted) == (300, 0, len(SCENES))


SAVED = 1_100
"""Rows; Chroma keeps fewer than 1,000 in its SQLite file alone."""


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def saved(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a folder with a database and an index that has written all kinds of its files."""
    home = tmp_path_factory.mktemp("saved")
    await asyncio.to_thread(shutil.copyfile, sqlite_template, home / "arcpoint.db")
    database = Database(f"sqlite:///{home}/arcpoint.db")
    index = ChromaIndex(home / "memory")
    world = World(database, index, embedder=HashingEmbedder(32))
    await world.add(*(distinct(number) for number in range(SAVED)))
    await world.memory().sync()
    await index.close()
    await database.close()
    return home


@pytest_asyncio.fixture(loop_scope="session")
async def damaged(saved: Path, tmp_path: Path) -> AsyncIterator[World]:
    """Copy it for a test that damages it."""
    await asyncio.to_thread(shutil.copytree, saved, tmp_path / "copy")
    database = Database(f"sqlite:///{tmp_path}/copy/arcpoint.db")
    index = ChromaIndex(tmp_path / "copy" / "memory")
    yield World(database, index, embedder=HashingEmbedder(32))
    await index.close()
    await database.close()


def _overwrite(path: Path) -> None:
    path.write_bytes(b"not what Chroma wrote " * 400)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("pattern", "damage"),
    [
        pytest.param("chroma.sqlite3", _overwrite, id="its database is overwritten"),
        pytest.param("*-*-*/index_metadata.pickle", _overwrite, id="a vector file is overwritten"),
        pytest.param("*-*-*/header.bin", _cut, id="a vector file is cut, which crashes Chroma"),
        pytest.param("*-*-*", shutil.rmtree, id="the vectors are gone, but its counts do not show it"),
    ],
)
async def test_damage_is_noticed_by_a_sync_and_repaired_by_a_rebuild(
    damaged: World, pattern: str, damage: Callable[[Path], None]
) -> None:
    """A sync on damaged files says in one line to rebuild; a rebuild loses nothing and deletes no file."""
    assert isinstance(damaged.index, ChromaIndex)
    folder = damaged.index.folder
    [path] = await asyncio.to_thread(lambda: list(folder.glob(pattern)))
    await asyncio.to_thread(damage, path)
    await damaged.add(distinct(SAVED))
    memory = damaged.memory()
    with pytest.raises(MemoryUnavailable, match=r"^[^\n]*`arcpoint memory rebuild`[^\n]*$"):
        await memory.sync()
    status = await memory.status()
    assert status.unavailable or (status.self_hit_rate or 0) < 1
    report = await memory.rebuild()
    assert (report.entries, report.embedded) == (SAVED + 1, 0)
    status = await memory.status()
    assert (status.unavailable, status.lag, status.self_hit_rate) == (None, 0, 1.0)
    [found] = (await damaged.recall(distinct(500).title, limit=1)).recollections
    assert found.title == distinct(500).title
    if path.name == "chroma.sqlite3":
        aside = folder.with_name("memory.corrupt-1") / path.name
        assert await asyncio.to_thread(aside.read_bytes) == b"not what Chroma wrote " * 400


class HaltingIndex:
    """A ChromaIndex that halts before a row is stored in an unfinished collection, until let on."""

    def __init__(self, index: VectorIndex) -> None:
        self._index = index
        self.halted = asyncio.Event()
        self.go_on = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._index, name)

    async def upsert(self, collection: str, rows: IndexRows) -> None:
        self.halted.set()
        await self.go_on.wait()
        await self._index.upsert(collection, rows)


async def test_the_old_index_serves_until_the_new_one_is_whole(world: World) -> None:
    """Recalls go on unchanged during a rebuild and after it, in snapshots that are older than it too."""
    await world.add(*(incident(number, number) for number in range(len(SCENES))))
    old = await world.memory().sync()
    answers = await _recalls(world)
    halting = HaltingIndex(world.index)
    memory = world.memory(index=halting)
    async with world.database.read() as snapshot:
        await snapshot.execute(select(MemoryIndex))
        rebuilding = asyncio.create_task(memory.rebuild())
        await halting.halted.wait()
        assert await _recalls(world) == answers
        halting.go_on.set()
        new = await rebuilding
        query = answers[0].recollections[0].query
        assert await memory.recall(snapshot, [query], as_of=LATER) == answers[0]
    assert await _recalls(world) == answers
    kept = {each.index.collection: each.serves for each in await memory.maintenance.kept()}
    assert kept == {new.collection: True, old.collection: False}
    assert kept.keys() <= await world.index.collections()


async def test_a_rebuild_killed_half_way_changes_nothing_and_leaves_nothing_for_good(world: World) -> None:
    """The old index goes on serving, and the next rebuild drops what the killed one had begun."""
    await world.add(*(distinct(number) for number in range(5)))
    old = await world.memory().sync()
    halting = HaltingIndex(world.index)
    rebuilding = asyncio.create_task(world.memory(index=halting).rebuild())
    await halting.halted.wait()
    rebuilding.cancel()
    await asyncio.wait([rebuilding])
    status = await world.memory().status()
    assert (status.unavailable, status.collection, status.lag) == (None, old.collection, 0)
    async with world.database.read() as session:
        unserved = MemoryIndex.activated_at.is_(None)
        begun = set(await session.scalars(select(MemoryIndex.collection).where(unserved)))
    assert begun <= await world.index.collections()
    await world.memory().rebuild()
    assert len(begun) == 1
    assert not begun & await world.index.collections()


class ForgetfulIndex(HaltingIndex):
    """A ChromaIndex that reports a row as stored which it has lost."""

    async def upsert(self, collection: str, rows: IndexRows) -> None:
        rows.vectors[0] = -rows.vectors[0]
        await self._index.upsert(collection, rows)


async def test_an_index_that_lost_rows_never_gets_to_serve(world: World) -> None:
    """A new collection whose rows do not find themselves is refused, and the old one stays."""
    await world.add(*(distinct(number) for number in range(5)))
    old = await world.memory().sync()
    with pytest.raises(MemoryUnavailable, match=r"lost rows \(0 of 5 are gone, 80% of a"):
        await world.memory(index=ForgetfulIndex(world.index)).rebuild()
    assert (await world.memory().status()).collection == old.collection


class RottenIndex(HaltingIndex):
    """A ChromaIndex that can be opened, and turns out to be damaged when something is written."""

    rotten = True

    async def create(self, collection: str) -> None:
        if self.rotten:
            raise MemoryCorrupt("memory folder is damaged")
        self.go_on.set()
        await self._index.create(collection)

    async def reset(self) -> None:
        self.rotten = False
        await self._index.reset()


async def test_damage_that_shows_while_rebuilding_is_left_behind(own_world: World, folder: Path) -> None:
    """A rebuild that meets damage on its way moves it aside and goes on, embedding nothing again."""
    await own_world.add(*(distinct(number) for number in range(5)))
    await own_world.memory().sync()
    report = await own_world.memory(index=RottenIndex(own_world.index)).rebuild()
    assert (report.entries, report.embedded, report.upserted) == (5, 0, 5)
    assert await asyncio.to_thread((folder.parent / "memory.corrupt-1" / "chroma.sqlite3").is_file)
    assert (await own_world.memory().status()).unavailable is None


async def test_rebuilds_at_the_same_time_leave_one_index(
    sqlite: Database, server_index: ChromaServerIndex
) -> None:
    """Of rebuilds that race, as on a server, one serves, and nothing is left of the others."""
    world = World(sqlite, server_index)
    await world.add(*(distinct(number) for number in range(20)))
    old = await world.memory().sync()
    reports = await asyncio.gather(*(world.memory().rebuild() for _ in range(3)))
    status = await world.memory().status()
    assert (status.unavailable, status.lag) == (None, 0)
    others = {report.collection for report in reports} | {old.collection}
    assert status.collection != old.collection
    assert others & await world.index.collections() == {each.index.collection for each in status.kept}


async def test_a_rebuild_with_another_model_embeds_everything_and_no_more(world: World) -> None:
    """Changing the model is a rebuild: all entries are embedded once, and the old model is refused after."""
    await world.add(*(distinct(number) for number in range(40)))
    await world.memory().sync()
    other = world.memory(embedder=HashingEmbedder(128))
    assert (await other.rebuild()).embedded == 40
    assert (await other.rebuild()).embedded == 0
    with pytest.raises(MemoryUnavailable, match="model is hashing-128 instead of hashing-512"):
        await world.recall("anything")
