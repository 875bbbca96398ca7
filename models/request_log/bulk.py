"""Statements over thousands of rows, without a trip or a bound value for each.

PostgreSQL takes one array per column. SQLite takes the rows one by one inside its own process, and finds
many at once by a JSON document.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from types import ModuleType
from typing import Any, cast

from sqlalchemy import ARRAY, ColumnElement, String, any_, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from typing_extensions import override

from models.database import WriteSession

Values = tuple[Any, ...]
_ZONE = len("+00:00")
_DAY = "interval '24 hours'"


@dataclass(frozen=True)
class BulkTable:
    """A table whose rows are written in bulk. Columns are given with their types on PostgreSQL."""

    name: str
    key: Mapping[str, str]
    """Columns that are unique together."""
    sums: Mapping[str, str]
    """Columns that a bucket adds up."""
    others: Mapping[str, str]
    """Columns that a bucket merges in another way, or that are not changed later."""
    mostly_new: bool = False
    """True if a key that is taken is the exception."""
    moment: str = ""
    """First of the others, if it says to which day a row belongs and PostgreSQL has a key once a day."""
    departed_ids: str = ""
    """Statement for the highest id of rows that have left the table, not given again; empty: none."""

    @cached_property
    def columns(self) -> dict[str, str]:
        """Return all columns in the order of a row: key, sums, others."""
        return {**self.key, **self.sums, **self.others}


class Bulk(ABC):
    """Writes to one database in the transaction of a session."""

    def __init__(self, session: WriteSession) -> None:
        self.session = session

    def identity(self, table: BulkTable, row: Values) -> Values:
        """Return what no two rows have in common, of a row or of its beginning."""
        return row[: len(table.key)]

    async def _run(self, statement: str, values: Any) -> Any:
        connection = await self.session.connection()
        return await connection.exec_driver_sql(statement, values)

    @abstractmethod
    async def insert_new(self, table: BulkTable, rows: Sequence[Values]) -> dict[Values, int]:
        """Insert the rows that are not there; return their ids by identity. Identities are distinct."""

    @abstractmethod
    async def find(self, table: BulkTable, keys: Sequence[Values]) -> dict[Values, Values]:
        """Lock the rows with these keys, in their order; return id and `others` by key."""

    @abstractmethod
    async def update(self, table: BulkTable, rows: Sequence[Values]) -> None:
        """Add to the sums of rows, and replace their `others`; each is given as sums, others and id."""


class PostgresBulk(Bulk):
    """Passes each column as one array; rows of the log, which nearly always are new, by COPY."""

    @override
    def identity(self, table: BulkTable, row: Values) -> Values:
        width = len(table.key)
        return (*row[:width], row[width].date()) if table.moment else row[:width]

    @override
    async def insert_new(self, table: BulkTable, rows: Sequence[Values]) -> dict[Values, int]:
        if table.mostly_new:
            copied = await self._copy_new(table, rows)
            if copied is not None:
                return copied
        names, key = ", ".join(table.columns), ", ".join(table.key)
        told = f"{key}, {table.moment}" if table.moment else key
        statement = (
            f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {_arrays(table.columns)}"  # noqa: S608
            f" ON CONFLICT {'' if table.moment else f'({key})'} DO NOTHING RETURNING id, {told}"
        )
        found = await self._run(statement, tuple(map(list, zip(*rows, strict=True))))
        return {self.identity(table, tuple(row[1:])): row[0] for row in found}

    async def _copy_new(self, table: BulkTable, rows: Sequence[Values]) -> dict[Values, int] | None:
        """Insert by COPY what is not there; None if another writer was faster, or it is refused.

        COPY knows no ON CONFLICT. Whatever is wrong, the statement that is tried next says it.
        """
        taken = await self._taken(table, rows)
        new = [row for row in rows if self.identity(table, row) not in taken] if taken else rows
        if not new:
            return {}
        ids = await self._run(
            "SELECT nextval(ids) FROM (SELECT pg_get_serial_sequence($1, 'id')::regclass AS ids OFFSET 0)"
            " AS counter, generate_series(1, $2)",
            (table.name, len(new)),
        )
        records = [(row_id, *row) for (row_id,), row in zip(ids, new, strict=True)]
        connection = await self.session.connection()
        driver: Any = (await connection.get_raw_connection()).driver_connection
        from asyncpg import PostgresError  # type: ignore[import-untyped]  # noqa: PLC0415  not for SQLite

        try:
            async with connection.begin_nested():
                await driver.copy_records_to_table(
                    table.name, records=records, columns=["id", *table.columns]
                )
        except (PostgresError, ValueError):
            return None
        return {self.identity(table, record[1:]): record[0] for record in records}

    async def _taken(self, table: BulkTable, rows: Sequence[Values]) -> set[Values]:
        """Return the identities of the rows that are there."""
        wanted = {**table.key, table.moment: table.others[table.moment]} if table.moment else table.key
        columns = [list(column) for column in zip(*rows, strict=True)][: len(wanted)]
        same = " AND ".join(f"stored.{name} = wanted.{name}" for name in table.key)
        if table.moment:
            # The first two are for the planner, which knows no row yet when it chooses the days.
            stored, day = f"stored.{table.moment}", f"date_trunc('day', wanted.{table.moment}, 'UTC')"
            first, last = (f"${len(wanted) + n}::timestamptz" for n in (1, 2))
            same += f" AND {stored} >= date_trunc('day', {first}, 'UTC') AND {stored} < {last} + {_DAY}"
            same += f" AND {stored} >= {day} AND {stored} < {day} + {_DAY}"
            columns += [min(columns[-1]), max(columns[-1])]
        found = await self._run(
            f"SELECT {', '.join(f'wanted.{name}' for name in wanted)}"  # noqa: S608  names of ours
            f" FROM {_arrays(wanted, name='wanted')} JOIN {table.name} AS stored ON {same}",
            tuple(columns),
        )
        return {self.identity(table, tuple(row)) for row in found}

    @override
    async def find(self, table: BulkTable, keys: Sequence[Values]) -> dict[Values, Values]:
        # Lateral, so that each row is found by its key and locked in the order of the keys, where a planner
        # without statistics would rather read the whole table.
        same = " AND ".join(f"stored.{name} = wanted.{name}" for name in table.key)
        wanted = ", ".join(["id", *table.others])
        statement = (
            f"SELECT place, {wanted} FROM {_arrays(table.key, name='wanted', numbered=True)} CROSS JOIN"  # noqa: S608
            f" LATERAL (SELECT {wanted} FROM {table.name} AS stored WHERE {same} FOR UPDATE) AS found"
        )
        found = await self._run(statement, tuple(map(list, zip(*keys, strict=True))))
        return {keys[row[0] - 1]: tuple(row[1:]) for row in found}

    @override
    async def update(self, table: BulkTable, rows: Sequence[Values]) -> None:
        added = [f"{name} = stored.{name} + given.{name}" for name in table.sums]
        replaced = [f"{name} = given.{name}" for name in table.others]
        given = _arrays({**table.sums, **table.others, "id": "bigint"})
        statement = (
            f"UPDATE {table.name} AS stored SET {', '.join(added + replaced)} FROM {given}"  # noqa: S608
            " WHERE stored.id = given.id"
        )
        await self._run(statement, tuple(map(list, zip(*rows, strict=True))))


class SqliteBulk(Bulk):
    """Finds rows by a JSON document; the lock on the whole file is that of the transaction."""

    @override
    async def insert_new(self, table: BulkTable, rows: Sequence[Values]) -> dict[Values, int]:
        width = len(table.key)
        taken = await self.find(table, [row[:width] for row in rows])
        last = (await self._run(f"SELECT max(id) FROM {table.name}", ())).scalar() or 0  # noqa: S608
        if table.departed_ids:
            last = max(last, (await self._run(table.departed_ids, ())).scalar() or 0)
        new = [row for row in rows if row[:width] not in taken] if taken else rows
        if not new:
            return {}
        statement = (
            f"INSERT INTO {table.name} (id, {', '.join(table.columns)})"  # noqa: S608
            f" VALUES (?{', ?' * len(table.columns)})"
        )
        await self._run(statement, [(last + n, *_stored(row)) for n, row in enumerate(new, start=1)])
        return {row[:width]: last + n for n, row in enumerate(new, start=1)}

    @override
    async def find(self, table: BulkTable, keys: Sequence[Values]) -> dict[Values, Values]:
        same = " AND ".join(
            f"stored.{name} = json_extract(wanted.value, '$[{place}]')"
            for place, name in enumerate(table.key)
        )
        statement = (
            f"SELECT {', '.join(['wanted.key', 'stored.id', *table.others])}"  # noqa: S608
            f" FROM json_each(?) AS wanted CROSS JOIN {table.name} AS stored ON {same}"
        )
        document = json.dumps([_without_nul(_stored(key)) for key in keys], ensure_ascii=False)
        found = await self._run(statement, (document,))
        return {keys[row[0]]: tuple(row[1:]) for row in found}

    @override
    async def update(self, table: BulkTable, rows: Sequence[Values]) -> None:
        changed = [f"{name} = {name} + ?" for name in table.sums] + [f"{name} = ?" for name in table.others]
        statement = f"UPDATE {table.name} SET {', '.join(changed)} WHERE id = ?"  # noqa: S608
        await self._run(statement, list(rows))


def bulk_of(session: WriteSession) -> Bulk:
    """Return how rows are written in bulk to the database of a session."""
    return SqliteBulk(session) if _is_sqlite(session) else PostgresBulk(session)


def dialect_of(session: WriteSession) -> ModuleType:
    """Return the SQLAlchemy dialect whose INSERT supports ON CONFLICT."""
    return sqlite if _is_sqlite(session) else postgresql


def among(session: WriteSession, column: Any, texts: Collection[str]) -> ColumnElement[bool]:
    """Return the condition that a column is one of any number of texts, which are one bound value."""
    if _is_sqlite(session):
        document = json.dumps(_without_nul(sorted(texts)), ensure_ascii=False)
        given = func.json_each(document).table_valued("value")
        return cast("ColumnElement[bool]", column.in_(select(given.c.value)))
    return cast("ColumnElement[bool]", column == any_(literal(sorted(texts), ARRAY(String()))))


def _is_sqlite(session: WriteSession) -> bool:
    return session.get_bind().dialect.name == "sqlite"


def _arrays(columns: Mapping[str, str], *, name: str = "given", numbered: bool = False) -> str:
    """Return arrays, one for each column, as a table.

    Text has no length here: a cast to one would cut what is too long, without an error.
    """
    arrays = ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(columns.values(), start=1))
    names = ", ".join([*columns, "place"] if numbered else columns)
    return f"unnest({arrays}){' WITH ORDINALITY' if numbered else ''} AS {name} ({names})"


def _stored(row: Iterable[Any]) -> list[Any]:
    """Return values as SQLite stores them: moments, which are in UTC here, are text without a zone."""
    return [
        value.isoformat(" ", "microseconds")[:-_ZONE] if type(value) is datetime else value for value in row
    ]


def _without_nul(row: list[Any]) -> list[Any]:
    """Return the values of a key as they are; SQLite reads the text of a JSON document only up to a NUL.

    Raises:
        ValueError: One holds NUL, which PostgreSQL does not store either.
    """
    for value in row:
        if type(value) is str and "\0" in value:
            raise ValueError(f"{value!r} holds NUL, which cannot be stored")
    return row
