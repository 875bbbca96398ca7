"""Rows of the operational history: each is added once, by what identifies it, or brought up to date."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import func, insert, select, update

from api.ingest.records import FieldProblem, Record
from api.ingest.store.references import References, find_references, in_parts
from api.ingest.store.result import Outcome, StoreResult
from models.database import WriteSession

Row = dict[str, Any]
"""Columns of a row by name."""
AnyRecord = TypeVar("AnyRecord", bound=Record)

_KEYS_PER_SELECT = 2_000


def keep(before: Row, after: Row) -> Row:
    """Let the first row count."""
    del after
    return before


def replace(before: Row, after: Row) -> Row:
    """Let the last row count."""
    return before | after


@dataclass(frozen=True)
class EventTable(Generic[AnyRecord]):
    """How records of one kind become rows of one table.

    Most of these tables have no id of the sender's: a row is identified by what it says, `key`, whose first
    column has an index. So a record that is sent again, by a file or by a retry, is stored once.
    """

    table: type[Any]
    key: tuple[str, ...]
    row: Callable[[AnyRecord, References], Row | FieldProblem]
    """Columns of a record; a problem where it refers to something that has to be known and is not."""
    names: Callable[[Sequence[AnyRecord]], Mapping[str, list[str | None]]] = lambda _: {}
    """Public ids that the records refer to, by table."""
    time: str | None = None
    """Column of the key that bounds the search where the first one has a long history."""
    merge: Callable[[Row, Row], Row] = keep
    """What becomes of a stored row when a record with the same key arrives."""

    async def write(self, session: WriteSession, records: Sequence[AnyRecord]) -> StoreResult:
        """Store the records, in their order."""
        references = await find_references(session, self.names(records))
        rows = [self.row(record, references) for record in records]
        _, stored = await self.put(session, [row for row in rows if not isinstance(row, FieldProblem)])
        outcomes = iter(stored)
        return StoreResult(
            outcomes=[row if isinstance(row, FieldProblem) else next(outcomes) for row in rows]
        )

    async def put(self, session: WriteSession, rows: Sequence[Row]) -> tuple[list[Row], list[Outcome]]:
        """Store rows in their order; return those that are new and what became of each."""
        await lock_table(session, self.table)
        stored = await self._stored(session, rows)
        new: dict[tuple[Any, ...], Row] = {}
        changed: dict[int, Row] = {}
        outcomes = []
        for row in rows:
            key = tuple(row[name] for name in self.key)
            before = stored.get(key)
            after = row if before is None else self.merge(before, row)
            if after == before:
                outcomes.append(Outcome.PRESENT)
                continue
            stored[key] = after
            if before is None or key in new:
                new[key] = after
            else:
                changed[before["id"]] = after
            outcomes.append(Outcome.ADDED if before is None else Outcome.UPDATED)
        if new:
            await session.execute(insert(self.table), list(new.values()))
        if changed:
            await session.execute(update(self.table), list(changed.values()))
        return list(new.values()), outcomes

    async def _stored(self, session: WriteSession, rows: Sequence[Row]) -> dict[tuple[Any, ...], Row]:
        """Return the stored rows that have the keys, by key."""
        keys = {tuple(row[name] for name in self.key) for row in rows}
        columns = [getattr(self.table, name) for name in ("id", *(rows[0] if rows else ()))]
        bounds = []
        if self.time and rows:
            times, column = [row[self.time] for row in rows], getattr(self.table, self.time)
            bounds = [column >= min(times), column <= max(times)]
        found: dict[tuple[Any, ...], Row] = {}
        for part in in_parts((key[0] for key in keys), _KEYS_PER_SELECT):
            statement = select(*columns).where(getattr(self.table, self.key[0]).in_(part), *bounds)
            for each in (await session.execute(statement)).mappings():
                key = tuple(each[name] for name in self.key)
                if key in keys:
                    found[key] = dict(each)
        return found


async def lock_table(session: WriteSession, table: type[Any]) -> None:
    """Let one transaction at a time look for rows of a table and add those that it does not find.

    SQLite has one writer anyway.
    """
    if session.get_bind().dialect.name != "sqlite":
        name = f"arcpoint ingest {table.__tablename__}"
        await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))
