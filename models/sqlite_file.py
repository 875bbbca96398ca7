"""A SQLite file: the URL that names it, and how it is opened where nothing may be written."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

from sqlalchemy.engine import URL

from models.errors import DatabaseError, DatabaseUnreachable
from models.sqlite_connection import SqliteConnection

BUSY_TIMEOUT_S = 10
"""Seconds that a SQLite writer waits for another writing process."""

_SHAPE = re.compile(r"sqlite(?:\+\w+)?://(?:/(?P<path>.*))?", re.DOTALL)
_PARAMETERS = re.compile(r"\?\w+=[^/]*$")
_NO_ROOM_FOR_A_LOG = {"SQLITE_CANTOPEN", "SQLITE_READONLY_DIRECTORY", "SQLITE_READONLY_CANTINIT"}
"""What SQLite says of a file whose write-ahead log it can neither find nor create."""


def parse_sqlite_url(text: str) -> URL | None:
    """Parse `sqlite:///path`, where %3F stands for a ? as in every URL; None if it is none.

    Raises:
        DatabaseError: It does not name a file.
    """
    parts = _SHAPE.fullmatch(text)
    if parts is None:
        return None
    raw = parts["path"] or ""
    path = unquote(raw)
    if path in ("", ":memory:"):
        raise DatabaseError("SQLite needs a file, for example sqlite:///arcpoint.db")
    if path.startswith("file:") or _PARAMETERS.search(raw):
        raise DatabaseError(
            "SQLite takes the path of a file, no file: URI and no ?name=value; write a ? of the path as %3F, "
            "and to open it for reading only set ARCPOINT_READ_ONLY=true"
        )
    return URL.create("sqlite+aiosqlite", database=path)


async def open_file(path: Path, *, read_only: bool) -> SqliteConnection:
    """Open a file; `read_only` makes SQLite refuse writes."""
    if read_only:
        return await _connected(str(path), "query_only = ON", "foreign_keys = ON")
    return await _connected(str(path), "journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON")


async def open_to_read(path: Path) -> SqliteConnection:
    """Open a file to read it, even if neither it nor its folder can be written.

    Raises:
        DatabaseUnreachable: Its log holds commits that only a process that may write can read.
    """
    uri = await asyncio.to_thread(_readable_uri, path)
    return await _connected(uri, "query_only = ON", "foreign_keys = ON")


async def _connected(database: str, *pragmas: str) -> SqliteConnection:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            database,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,  # `models.database` says when a transaction begins
            uri=database.startswith("file:"),
        )
        try:
            for pragma in pragmas:
                connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            connection.close()
            raise
        return connection

    connection = SqliteConnection(connect)
    await connection
    return connection


def _readable_uri(path: Path) -> str:
    """Return the URI of a file as it can be read now.

    A file in WAL mode needs its -shm beside it, which SQLite creates if it may. Where it may not, and there
    is no log, nobody is writing, and `immutable` reads the file alone; with a log that would miss commits.
    """
    uri = f"{path.absolute().as_uri()}?mode=rw"  # read-only by itself if it must be; never creates the file
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as connection:
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname not in _NO_ROOM_FOR_A_LOG or not path.is_file():
            return uri
        log = path.with_name(f"{path.name}-wal")
        if log.exists() and log.stat().st_size:
            raise DatabaseUnreachable(
                f"cannot read {path}: {log.name} holds changes that SQLite cannot read without writing "
                f"{path.name}-shm beside it; run `arcpoint db status` once with the right to write there, or "
                "copy the files to a folder that can be written"
            ) from None
        return f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    return uri
