"""Moves closed days of the request log into files. Killed at any step, the next run continues.

The rows of a day are written to a file without a final name, and read back: only if they are the very same it
gets its name. A row in `cold_days` then says so, from which moment readers and writers ask the file as well.
Only after that the requests in the file are deleted from the database, in batches.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import BigInteger, Select, delete, func, select, type_coerce, update
from sqlalchemy.ext.asyncio import AsyncSession

from models.database import Database
from models.errors import ColdDayUnreadable, DatabaseError
from models.leadership import Leadership
from models.request_log.cold.files import ColdFiles, quoted
from models.request_log.cold.reading import DAY
from models.request_log.days import lock_day
from models.request_log.partitions import drop_partition, finish_removals
from models.request_log.time_buckets import EPOCH
from models.tables.gateway.cold_days import ColdDay, ColdState
from models.tables.gateway.requests import Request
from models.tables.schema import Money, UtcDateTime

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection as Cursor

_HOUR = timedelta(hours=1)
_MICROSECOND = timedelta(microseconds=1)
_ROWS_AT_ONCE = 5_000
"""Requests that are deleted in one transaction, which holds up other writers of SQLite for so long."""
_COLUMNS = tuple(Request.__table__.columns)
_NAMES = tuple(column.name for column in _COLUMNS)
_TYPES = {one.name: "BIGINT" if isinstance(one.type, (BigInteger, Money, UtcDateTime)) else "VARCHAR"
          for one in _COLUMNS}  # fmt: skip
_EXACT = "REPLACE ({}(created_at) AS created_at)"
"""Moments are whole microseconds in the lines that are compared."""
_encode = msgspec.json.Encoder().encode


async def move_days(
    database: Database, *, before: datetime, progress: Callable[[int, int], None] | None = None
) -> list[ColdDay]:
    """Move all days that end by a moment; return their files. Deletions that were interrupted come first.

    Raises:
        ColdDayUnreadable: The place cannot be written, or holds other rows than it was given.
        DatabaseError: Another process moves or removes days, or none can be moved.
    """
    files, moved = _files_of(database), []
    async with alone(database):
        async with database.read() as session:
            unfinished = select(ColdDay).where(ColdDay.state == ColdState.MOVING)
            waiting = list(await session.scalars(unfinished))
        for one in waiting:
            await _delete_moved(database, files, one)
        async with database.read() as session:
            days = await days_before(session, before)
        for done, day in enumerate(days, start=1):
            one = await _write_day(database, files, day)
            async with database.write() as session:
                # Who wrote to this day before does not know the file; who does later will ask it.
                await lock_day(session, day)
                session.add(one)
            await _delete_moved(database, files, one)
            moved.append(one)
            if progress:
                progress(done, len(days))
    return moved


async def differing_days(
    database: Database, progress: Callable[[int, int], None] | None = None
) -> AsyncIterator[tuple[ColdDay, str]]:
    """Read all files; yield those that are not what was written, with what is wrong."""
    async with database.read() as session:
        days = (await session.scalars(select(ColdDay).order_by(ColdDay.day, ColdDay.path))).all()
    for done, one in enumerate(days, start=1):
        try:
            count, digest = await _content(_files_of(database), one.path)
        except ColdDayUnreadable as error:
            yield one, str(error)
        else:
            if (count, digest) != (one.rows, one.sha256):
                yield one, f"{count:,} rows with another content than the {one.rows:,} that were written"
        if progress:
            progress(done, len(days))


def _files_of(database: Database) -> ColdFiles:
    if database.cold_files is None:
        raise ColdDayUnreadable("no place is set where cold days could be: ARCPOINT_COLD_PATH")
    return database.cold_files


async def days_before(session: AsyncSession, before: datetime) -> list[datetime]:
    """Return the starts of the days with requests in the database that end by a moment."""
    last = EPOCH + (before - EPOCH) // DAY * DAY
    days: list[datetime] = []
    after = datetime.min.replace(tzinfo=EPOCH.tzinfo) + DAY
    while True:
        within = (Request.created_at >= after, Request.created_at < last)
        first = await session.scalar(select(func.min(Request.created_at)).where(*within))
        if first is None:
            return days
        days.append(EPOCH + (first - EPOCH) // DAY * DAY)
        after = days[-1] + DAY


async def _write_day(database: Database, files: ColdFiles, day: datetime) -> ColdDay:
    """Write the rows of a day to a file with its final name, after they were read back from it."""
    drafts = f".moving-{hashlib.sha256(database.shown_url.encode()).hexdigest()[:8]}"
    lines = _Lines((files.folder if files.is_folder else Path(gettempdir())) / drafts)
    async with database.read() as session:
        for start in (day + n * _HOUR for n in range(24)):
            rows = [list(row) for row in await session.execute(_rows_between(start, start + _HOUR))]
            await asyncio.to_thread(lines.add, rows)
    name = f"{day:%Y-%m-%d}-{lines.digest.hexdigest()[:16]}.parquet"
    # A bucket has no names that change; what no row of `cold_days` names is not read.
    draft = f"{drafts}/{name}" if files.is_folder else name
    await files.run(lambda cursor: _convert(cursor, lines.path, files.address(draft)))
    content = lines.count, lines.digest.hexdigest()
    if await _content(files, draft) != content:
        raise ColdDayUnreadable(f"{files.address(draft)} does not hold the rows that were written to it")
    size = await files.run(lambda cursor: _settle(cursor, files, draft, name))
    await asyncio.to_thread(shutil.rmtree, lines.folder)
    return ColdDay(
        path=name,
        day=day,
        rows=content[0],
        bytes=size,
        sha256=content[1],
        last_id=lines.last_id,
        state=ColdState.MOVING,
        moved_at=datetime.now(UTC),
    )


def _rows_between(start: datetime, end: datetime) -> Select[*tuple[Any, ...]]:
    columns = (type_coerce(one, BigInteger) if isinstance(one.type, Money) else one for one in _COLUMNS)
    within = (Request.created_at >= start, Request.created_at < end)
    return select(*columns).where(*within).order_by(Request.created_at, Request.id)


class _Lines:
    """A file of JSON lines, one a row, and the digest of them all. Blocks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "rows.jsonl"
        self.digest = hashlib.sha256()
        self.count = 0
        self.last_id = 0

    def add(self, rows: Sequence[list[Any]]) -> None:
        """Append rows; what an interrupted run has left of them is removed first."""
        if not self.count:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
        for row in rows:
            for place, value in enumerate(row):
                if isinstance(value, datetime):
                    row[place] = (value - EPOCH) // _MICROSECOND
                elif isinstance(value, dict):
                    row[place] = json.dumps(value)
        with self.path.open("ab") as file:
            file.writelines(_lines_of(rows))
        for line in _lines_of(rows):
            self.digest.update(line)
        self.count += len(rows)
        self.last_id = max([self.last_id, *(row[0] for row in rows)])


def _lines_of(rows: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    for row in rows:
        yield _encode(dict(zip(_NAMES, row, strict=True))) + b"\n"


def _convert(cursor: Cursor, lines: Path, target: str) -> None:
    """Write lines as a Parquet file, in their order."""
    types = ", ".join(f"{quoted(name)}: {quoted(kind)}" for name, kind in _TYPES.items())
    cursor.execute(
        f"COPY (SELECT * {_EXACT.format('make_timestamp')} FROM read_json({quoted(str(lines))},"  # noqa: S608
        f" format = 'newline_delimited', columns = {{{types}}}))"
        f" TO {quoted(target)} (FORMAT parquet, COMPRESSION zstd)"
    )


async def _content(files: ColdFiles, name: str) -> tuple[int, str]:
    """Return number and digest of the rows in a file. Raises ColdDayUnreadable."""

    def read(cursor: Cursor) -> tuple[int, str]:
        digest, count = hashlib.sha256(), 0
        try:
            names = ", ".join(_NAMES)
            found = f"SELECT {names} FROM (SELECT * {_EXACT.format('epoch_us')} FROM {files.source([name])})"  # noqa: S608
            cursor.execute(found)
            while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                count += len(rows)
                for line in _lines_of(rows):
                    digest.update(line)
        except Exception as error:
            raise ColdDayUnreadable(f"the cold day {files.address(name)} cannot be read: {error}") from error
        return count, digest.hexdigest()

    return await files.run(read)


def _settle(cursor: Cursor, files: ColdFiles, draft: str, name: str) -> int:
    """Make a file durable under its final name; return its size."""
    if not files.is_folder:
        found = cursor.execute(f"SELECT size FROM read_blob({quoted(files.address(name))})").fetchone()  # noqa: S608
        return int(found[0]) if found else 0
    written, final = files.folder / draft, files.folder / name
    _sync(written)
    written.replace(final)
    _sync(files.folder)
    return final.stat().st_size


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


async def _delete_moved(database: Database, files: ColdFiles, one: ColdDay) -> None:
    """Delete the requests in a file from the database; none that came in since."""
    if not await drop_partition(database, one.day, rows=one.rows):
        await _delete_one_by_one(database, files, one)
    async with database.write() as session:
        await session.execute(update(ColdDay).where(ColdDay.path == one.path).values(state=ColdState.COLD))
    one.state = ColdState.COLD


async def _delete_one_by_one(database: Database, files: ColdFiles, one: ColdDay) -> None:
    ids = [row[0] for row in await files.rows([one.path], lambda source: f"SELECT id FROM {source}")]  # noqa: S608
    for start in range(0, len(ids), _ROWS_AT_ONCE):
        async with database.write() as session:
            within = (Request.created_at >= one.day, Request.created_at < one.day + DAY)
            some = Request.id.in_(ids[start : start + _ROWS_AT_ONCE])
            await session.execute(delete(Request).where(*within, some))


@asynccontextmanager
async def alone(database: Database) -> AsyncIterator[None]:
    """Keep other processes from moving or removing days meanwhile, and from waiting for it.

    What one of them has not finished is finished first.
    """
    leadership = Leadership(database, "cold-days")
    try:
        if not await leadership.is_held():
            raise DatabaseError("another process is moving or removing days; it goes on by itself")
        await finish_removals(database)
        yield
    finally:
        await leadership.release()
