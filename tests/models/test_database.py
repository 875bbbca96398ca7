"""Reads are read-only, consistent and parallel; errors say what to do."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from models import User
from models.database import Database, parse_url
from models.errors import DatabaseError, DatabaseNotMigrated, DatabaseUnreachable
from models.migrations import head_revision, upgrade
from models.snapshot import Snapshot, Snapshots
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.both_databases

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def user(public_id: str) -> User:
    return User(public_id=public_id, tier="premium", created_at=NOW, updated_at=NOW)


@pytest.mark.parametrize("read_only", [False, True])
async def test_all_readers_of_a_snapshot_see_the_same_commits_while_a_writer_goes_on(
    database: Database, database_url: str, read_only: bool
) -> None:
    """Law 3: commits after a snapshot opened are invisible in all its sessions, with a write lock or not."""
    reading = Database(database_url, read_only=read_only)
    snapshots = Snapshots(reading, readers=4)
    stop = asyncio.Event()

    async def keep_writing() -> None:
        number = 0
        while not stop.is_set():
            async with database.write() as session:
                session.add(user(f"u{number}"))
            number += 1

    writer = asyncio.create_task(keep_writing())
    try:
        for _ in range(10):
            async with snapshots.open() as snapshot, asyncio.TaskGroup() as group:
                counts = [group.create_task(_count_users_twice(snapshot)) for _ in range(4)]
            seen = {count for task in counts for count in task.result()}
            assert len(seen) == 1
    finally:
        stop.set()
        await writer
        await reading.close()


async def _count_users_twice(snapshot: Snapshot) -> set[int | None]:
    async with snapshot.session() as session:
        first = await session.scalar(select(func.count()).select_from(User))
        await asyncio.sleep(0.01)
        return {first, await session.scalar(select(func.count()).select_from(User))}


ENDLESS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    "postgresql": "SELECT pg_sleep(3600)",
}


async def test_sessions_of_one_snapshot_really_overlap(postgres_url: str) -> None:
    """Laws 2 and 3: statements of different tasks run concurrently."""
    database = Database(postgres_url)
    running = text("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = :query")

    async def read(snapshot: Snapshot) -> None:
        async with snapshot.session() as session:
            await session.execute(text(ENDLESS["postgresql"]))

    async with Snapshots(database, readers=6).open() as snapshot, asyncio.TaskGroup() as reading:
        readers = [reading.create_task(read(snapshot)) for _ in range(6)]
        async with asyncio.timeout(PATIENCE_S), database.read_engine.connect() as connection:
            while await connection.scalar(running, {"query": ENDLESS["postgresql"]}) != 6:
                await connection.rollback()  # within a transaction the server's view of activity stands still
                await asyncio.sleep(0.01)
        for reader in readers:
            reader.cancel()
    await database.close()


async def test_more_snapshots_than_connections_wait_instead_of_deadlocking(database_url: str) -> None:
    """Any number of snapshots can be requested at once without deadlock."""
    database = Database(database_url, connections=6)
    snapshots = Snapshots(database, readers=4)

    async def read() -> int | None:
        async with snapshots.open() as snapshot, snapshot.session() as session:
            return await session.scalar(select(func.count()).select_from(User))

    async with asyncio.timeout(PATIENCE_S):
        assert await asyncio.gather(*(read() for _ in range(30))) == [0] * 30
    await database.close()


async def test_a_deadline_stops_the_statement_and_leaves_the_snapshot_usable(database: Database) -> None:
    """Law 2: a hanging statement costs its deadline, and others keep reading."""
    async with Snapshots(database, readers=2).open() as snapshot:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2), snapshot.session() as session:
                await session.execute(text(ENDLESS[database.url.get_backend_name()]))
        async with snapshot.session() as session:
            assert await session.scalar(select(func.count()).select_from(User)) == 0


async def test_a_reader_cannot_write(database: Database) -> None:
    """The database itself refuses a write through a read session."""
    async with Snapshots(database, readers=1).open() as snapshot, snapshot.session() as session:
        with pytest.raises(DBAPIError, match=r"read-?only"):
            await session.execute(text("DELETE FROM users"))


async def test_a_failed_write_block_leaves_nothing(database: Database) -> None:
    """Law 10: a transaction is all or nothing."""
    with pytest.raises(RuntimeError):
        async with database.write() as session:
            session.add(user("u1"))
            await session.flush()
            raise RuntimeError
    async with Snapshots(database, readers=1).open() as snapshot, snapshot.session() as session:
        assert await session.scalar(select(func.count()).select_from(User)) == 0


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("not a url", "expected sqlite:///"),
        ("mysql://host/db", "not supported"),
        ("sqlite://", "needs a file"),
        ("", "expected sqlite:///"),
    ],
)
def test_a_wrong_url_names_what_is_accepted(url: str, says: str) -> None:
    """Law 10."""
    with pytest.raises(DatabaseError, match=says):
        parse_url(url)


@pytest.mark.database
async def test_an_unmigrated_database_is_told_from_an_unreachable_one(tmp_path: Path) -> None:
    """Law 10: each case names its own remedy, and asking does not create a file."""
    missing = Database(f"sqlite:///{tmp_path}/none.db")
    with pytest.raises(DatabaseNotMigrated, match="arcpoint db upgrade"):
        await missing.require_revision(head_revision())
    assert not (tmp_path / "none.db").exists()

    (tmp_path / "text.db").write_text("this is not a database, it is a text of some length" * 40)
    foreign = Database(f"sqlite:///{tmp_path}/text.db")
    with pytest.raises(DatabaseUnreachable, match="not a database"):
        await foreign.revision()

    nobody = Database("postgresql://user:secret@127.0.0.1:1/none")
    with pytest.raises(DatabaseUnreachable) as caught:
        await nobody.revision()
    assert "secret" not in str(caught.value)
    for database in (missing, foreign, nobody):
        await database.close()


async def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    """Law 10."""
    (tmp_path / "file").write_text("")
    database = Database(f"sqlite:///{tmp_path}/file/arcpoint.db")
    with pytest.raises(DatabaseUnreachable, match="cannot create the folder"):
        await upgrade(database)
    await database.close()
