"""Rows of the request log, of the database and of its cold days alike."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import JSON, Dialect, Row, Select, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.ext.asyncio import AsyncSession

from models.errors import ColdDayUnreadable
from models.request_log.cold.files import ColdFiles
from models.tables.gateway.cold_days import ColdDay
from models.tables.gateway.users import User

DAY = timedelta(days=1)
_DAY_S = 86_400
EARLIEST = datetime(1, 1, 2, tzinfo=UTC)
LATEST = datetime(9999, 1, 1, tzinfo=UTC)

_SQL: Dialect = postgresql.dialect(paramstyle="qmark")  # type: ignore[no-untyped-call]
"""DuckDB speaks PostgreSQL's SQL."""
_USER_TYPES = '[{"id": "BIGINT", "tier": "VARCHAR", "created_at": "TIMESTAMP", "updated_at": "TIMESTAMP"}]'


class ColdPart:
    """The cold days that overlap a span, as a session sees them."""

    def __init__(self, session: AsyncSession, files: ColdFiles, days: Sequence[ColdDay]) -> None:
        self.days = days
        self.end = max(each.day for each in days) + DAY
        """No request in them was made at or after this moment."""
        self._session = session
        self._files = files

    async def execute(self, statement: Select[*tuple[Any, ...]]) -> list[Row[*tuple[Any, ...]]]:
        """Return the rows of a statement over `requests`, and `users` if it names them, in these days.

        Raises:
            ColdDayUnreadable: A file cannot be read.
        """
        compiled = statement.compile(dialect=_SQL, compile_kwargs={"render_postcompile": True})
        sql, given = str(compiled), compiled.params
        values = [_bound(given[name]) for name in getattr(compiled, "positiontup", None) or ()]
        users = "" if "users" not in sql else ", users AS (SELECT unnest(from_json(?, ?), recursive := true))"
        if users:
            values = [await self._users(), _USER_TYPES, *values]

        def query(source: str) -> str:
            return f"WITH requests AS NOT MATERIALIZED (SELECT * FROM {source}){users} {sql}"  # noqa: S608

        found = await self._files.rows([each.path for each in self.days], query, values)
        columns = statement.selected_columns
        read = [
            _json if isinstance(one.type, JSON) else one.type.dialect_impl(_SQL).result_processor(_SQL, None)
            for one in columns
        ]
        rows = (
            tuple(convert(value) if convert else value for convert, value in zip(read, row, strict=True))
            for row in found
        )
        names = SimpleResultMetaData([str(column.key) for column in columns])
        result: IteratorResult[Any] = IteratorResult(names, rows)
        return list(result.all())

    async def known_ids(self, public_ids: Sequence[str]) -> set[tuple[str, int]]:
        """Return which of any number of ids are there, each with its day. Raises ColdDayUnreadable."""
        found = await self._files.rows(
            [each.path for each in self.days],
            lambda source: (
                f"SELECT public_id, epoch(date_trunc('day', created_at)) FROM {source}"  # noqa: S608  ours
                " WHERE public_id IN (SELECT unnest(?))"
            ),
            [list(public_ids)],
        )
        return {(name, int(seconds) // _DAY_S) for name, seconds in found}

    async def _users(self) -> str:
        rows = await self._session.execute(select(User.id, User.tier, User.created_at, User.updated_at))
        names = ("id", "tier", "created_at", "updated_at")
        return json.dumps([dict(zip(names, map(_bound, row), strict=True)) for row in rows], default=str)


async def cold_part(
    session: AsyncSession, since: datetime | None = None, until: datetime | None = None
) -> ColdPart | None:
    """Return the cold days that overlap a span; None if there are none.

    Raises:
        ColdDayUnreadable: There are, and no place is configured where they could be.
    """
    after, before = max(since or EARLIEST, EARLIEST) - DAY, min(until or LATEST, LATEST)
    found = select(ColdDay).where(ColdDay.day > after, ColdDay.day < before).order_by(ColdDay.path)
    days = (await session.scalars(found)).all()
    if not days:
        return None
    files = session.get_bind().get_execution_options().get("cold_files")
    if files is None:
        raise ColdDayUnreadable(
            f"{len(days)} files hold cold days, and no place is set where they are: ARCPOINT_COLD_PATH"
        )
    return ColdPart(session, files, days)


async def log_rows(
    session: AsyncSession,
    statement: Select[*tuple[Any, ...]],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    newest: int | None = None,
) -> list[Row[*tuple[Any, ...]]]:
    """Return the rows of a statement over the log, also of cold days, the newest first.

    Its first columns are id and moment of requests. With `newest` it selects at most so many, the newest of
    all; then cold days are not read if the database has enough newer ones.

    Raises:
        ColdDayUnreadable: A file of a cold day cannot be read.
    """
    rows: list[Row[*tuple[Any, ...]]] = list(await session.execute(statement))
    oldest = min((row[1] for row in rows), default=None) if len(rows) == newest else None
    cold = await cold_part(session, max(filter(None, (since, oldest)), default=None), until)
    if cold is not None:
        # While a day is being moved, a request may be in both.
        rows = list({row[0]: row for row in (*rows, *await cold.execute(statement))}.values())
    rows.sort(key=lambda row: (row[1], row[0]), reverse=True)
    return rows[:newest]


def _json(value: str | None) -> Any:
    return None if value is None else json.loads(value)


def _bound(value: Any) -> Any:
    """Return a value as the files have it: moments in UTC without a zone."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None)
    return str(value) if isinstance(value, str) else value
