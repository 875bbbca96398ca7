"""A statement on SQLite is done in one trip, and still gives what the driver gives."""

from __future__ import annotations

from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from models import sqlite_connection
from models.database import Database
from models.sqlite_file import open_file

MANY = text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT :rows) SELECT i FROM n")


STATEMENTS: tuple[tuple[str, Any], ...] = (
    ("CREATE TABLE t (id INTEGER PRIMARY KEY, word TEXT UNIQUE)", {}),
    ("INSERT INTO t (word) VALUES (:word)", {"word": "ä\0b"}),
    ("INSERT INTO t (word) VALUES (:word)", [{"word": str(number)} for number in range(50)]),
    ("INSERT INTO t (word) VALUES (:word) RETURNING id, word", {"word": "returned"}),
    ("UPDATE t SET word = word || '!' WHERE id % 3 = :rest", {"rest": 1}),
    ("SELECT id, word FROM t ORDER BY id DESC", {}),
    ("SELECT count(*) FROM t WHERE id < :most", {"most": 0}),
    ("SELECT id FROM t WHERE word = :word", {"word": "absent"}),
    ("DELETE FROM t WHERE id > 40", {}),
)


@pytest.fixture
def chunk(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sqlite_connection, "_ROWS_AT_ONCE", 10)
    return 10


@pytest.mark.parametrize("rows", [0, 1, 9, 10, 11, 20, 35])
async def test_every_row_comes_once_and_in_order(database: Database, chunk: int, rows: int) -> None:
    """Read whole, row by row or in parts, below, at and above what one trip reads."""
    values = {"rows": rows}
    async with database.read() as session:
        whole = list(await session.scalars(MANY, values))
        streamed = [row[0] async for row in await session.stream(MANY, values)]
        parts = [part async for part in (await session.stream_scalars(MANY, values)).partitions(7)]
        first = await (await session.stream_scalars(MANY, values)).first()
    assert whole == streamed == list(chain(*parts)) == list(range(1, rows + 1))
    assert first == (1 if rows else None)


async def test_a_statement_takes_one_trip(
    sqlite_url: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening, executing, reading and closing wait for the thread once; more rows take one more trip."""
    connection = await open_file(Path(sqlite_url.removeprefix("sqlite:///")), read_only=False)
    trips: list[Any] = []
    make_trip = connection._execute

    async def counted(*job: Any, **options: Any) -> Any:
        trips.append(job)
        return await make_trip(*job, **options)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(connection, "_execute", counted)
    for rows, expected in ((9, 1), (11, 2)):
        trips.clear()
        async with connection.cursor() as cursor:
            await cursor.execute(MANY.text.replace(":rows", "?"), (rows,))
            assert len(list(await cursor.fetchall())) == rows
        assert len(trips) == expected
    await connection.close()


async def outcomes(engine: AsyncEngine) -> list[Any]:
    """What each statement gives: columns and rows, or how many rows it changed."""
    found: list[Any] = []
    async with engine.begin() as connection:
        for statement, parameters in STATEMENTS:
            result = await connection.execute(text(statement), parameters)
            rows = [list(result.keys()), result.all()] if result.returns_rows else []
            found.append((rows, result.rowcount))
    return found


@pytest.mark.database
async def test_it_answers_like_the_driver_that_it_replaces(tmp_path: Path) -> None:
    """Rows, column names and counts are equal for statements of every kind."""
    opens = partial(open_file, tmp_path / "ours.db", read_only=False)
    ours = create_async_engine("sqlite+aiosqlite://", async_creator=opens)
    theirs = create_async_engine(
        f"sqlite+aiosqlite:///{tmp_path / 'theirs.db'}", isolation_level="AUTOCOMMIT"
    )
    assert await outcomes(ours) == await outcomes(theirs)
    await ours.dispose()
    await theirs.dispose()


async def test_a_statement_that_fails_leaves_nothing_open(database: Database, chunk: int) -> None:
    """After an error, and after rows that nobody read, the log can be emptied."""
    async with database.read() as session:
        with pytest.raises(OperationalError, match="no such table"):
            await session.execute(text("SELECT * FROM nowhere"))
    async with database.read() as session:
        await (await session.stream(MANY, {"rows": 35})).fetchone()
    async with database.write() as session:
        await session.execute(text("UPDATE rollup_clock SET stamp = 7"))
    await database.checkpoint()
    assert database.path.with_name(f"{database.path.name}-wal").stat().st_size == 0
