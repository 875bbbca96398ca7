"""The SQLite driver answers like SQLAlchemy's own, with one visit of its thread per statement."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from models.sqlite_driver import OneVisitDriver

pytestmark = pytest.mark.database

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


async def outcomes(engine: AsyncEngine) -> list[Any]:
    """What each statement gives: columns and rows, or how many rows it changed."""
    found: list[Any] = []
    async with engine.begin() as connection:
        for statement, parameters in STATEMENTS:
            result = await connection.execute(text(statement), parameters)
            rows = [list(result.keys()), result.all()] if result.returns_rows else []
            found.append((rows, result.rowcount))
    return found


async def test_it_answers_like_the_driver_that_it_replaces(tmp_path: Path) -> None:
    """Rows, column names and counts are equal for statements of every kind."""
    ours = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'ours.db'}", module=OneVisitDriver())
    theirs = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'theirs.db'}")
    assert await outcomes(ours) == await outcomes(theirs)
    await ours.dispose()
    await theirs.dispose()


async def test_a_statement_is_one_visit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Executing a statement and fetching its rows wakes the connection's thread once."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'ours.db'}", module=OneVisitDriver())
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
        visits = 0
        execute: Any = aiosqlite.Connection._execute

        async def counted(self: aiosqlite.Connection, *arguments: Any) -> Any:
            nonlocal visits
            visits += 1
            return await execute(self, *arguments)

        monkeypatch.setattr(aiosqlite.Connection, "_execute", counted)
        rows = await connection.execute(text("SELECT value FROM json_each('[1, 2, 3]')"))
        assert (rows.scalars().all(), visits) == ([1, 2, 3], 1)
        monkeypatch.undo()
    await engine.dispose()


async def test_an_error_is_the_drivers_and_the_connection_goes_on(tmp_path: Path) -> None:
    """A statement that fails raises what the stock driver raises; the next one works."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'ours.db'}", module=OneVisitDriver())
    async with engine.begin() as connection:
        for statement, parameters in STATEMENTS[:2]:
            await connection.execute(text(statement), parameters)
        with pytest.raises(IntegrityError) as caught:
            await connection.execute(text(STATEMENTS[1][0]), STATEMENTS[1][1])
        assert isinstance(caught.value.orig, sqlite3.IntegrityError)
        with pytest.raises(OperationalError, match="no such table: absent"):
            await connection.execute(text("SELECT 1 FROM absent"))
        assert await connection.scalar(text("SELECT count(*) FROM t")) == 1
    await engine.dispose()
