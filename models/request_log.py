"""The only way to store requests: appends them and keeps their rollups consistent."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import ModuleType
from typing import Any, cast

from sqlalchemy import (
    ARRAY,
    FromClause,
    RowMapping,
    String,
    Table,
    bindparam,
    column,
    func,
    literal,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeEngine

from models.database import WriteSession
from models.histogram import Histogram, bucket_of
from models.tables.gateway.requests import FAILED_STATUSES, Request
from models.tables.gateway.rollups import RequestRollup, Resolution, UserSpend

Key = tuple[Any, ...]
"""Values of the columns that are unique together."""

# The plain tables: mapped classes take several times as long for thousands of rows.
_REQUEST, _ROLLUP, _SPEND = (cast("Table", each.__table__) for each in (Request, RequestRollup, UserSpend))
_ROLLUP_KEY = (
    "resolution", "bucket_start", "deployment_id", "tier", "router_version", "task_type",
    "status", "error_code",
)  # fmt: skip
_SPEND_KEY = ("resolution", "bucket_start", "user_id")
_NOT_ADDED = ("latency_histogram", "slowest_ms", "slowest_request_id")
"""Columns of a bucket that are no sums."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRequest:
    """A request to append; a `public_id` that is logged already is skipped."""

    public_id: str
    created_at: datetime
    user_id: int
    deployment_id: int
    tier: str
    """Tier of the user at the time of the request; the rollups keep it."""
    status: str
    error_code: str | None = None
    latency_ms: int | None = None
    cost_usd: Decimal = Decimal(0)
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    endpoint: str | None = None
    task_type: str | None = None
    router_version: str | None = None
    routing_reason: dict[str, Any] | None = None


_COLUMNS = tuple(
    (field.name, Request.__mapper__.columns[field.name].name)
    for field in fields(NewRequest)
    if field.name != "tier"
)
"""Attributes of a request, and the columns that they are stored in."""


async def append(session: WriteSession, requests: Sequence[NewRequest]) -> dict[str, int]:
    """Append the requests that are new; return their database ids by public id."""
    if not requests:
        return {}
    by_public_id = {request.public_id: request for request in requests}
    rows = [_row_of(request) for request in by_public_id.values()]
    inserted = await _insert_new(session, _REQUEST, ("public_id",), rows)
    added = {public_id: row_id for (public_id,), row_id in inserted.items()}
    new = [(row_id, by_public_id[public_id]) for public_id, row_id in sorted(added.items())]
    await _roll_up(session, _ROLLUP, _ROLLUP_KEY, _rollups_of(new))
    await _roll_up(session, _SPEND, _SPEND_KEY, _spend_of(new))
    return added


def dialect_of(session: WriteSession) -> ModuleType:
    """Return the SQLAlchemy dialect whose INSERT supports ON CONFLICT."""
    return sqlite if _is_sqlite(session) else postgresql


def _is_sqlite(session: WriteSession) -> bool:
    return session.get_bind().dialect.name == "sqlite"


def bucket_start(moment: datetime, resolution: Resolution) -> datetime:
    """Return the start of the UTC bucket that contains a moment."""
    utc = moment.astimezone(UTC)
    width = resolution.width // timedelta(minutes=1)
    return utc.replace(minute=utc.minute - utc.minute % width, second=0, microsecond=0)


def _row_of(request: NewRequest) -> dict[str, Any]:
    return {column: getattr(request, name) for name, column in _COLUMNS}


def _rollups_of(new: Iterable[tuple[int, NewRequest]]) -> dict[Key, dict[str, Any]]:
    minutes: defaultdict[Key, list[tuple[int, NewRequest]]] = defaultdict(list)
    for row_id, request in new:
        key = (
            request.created_at.astimezone(UTC).replace(second=0, microsecond=0), request.deployment_id,
            request.tier, request.router_version or "", request.task_type or "",
            request.status, request.error_code or "",
        )  # fmt: skip
        minutes[key].append((row_id, request))
    groups: defaultdict[Key, list[tuple[int, NewRequest]]] = defaultdict(list)
    for (minute, *dimensions), members in minutes.items():
        for resolution in Resolution:
            groups[resolution, bucket_start(minute, resolution), *dimensions] += members
    return {key: _sums(members) for key, members in groups.items()}


def _sums(members: Sequence[tuple[int, NewRequest]]) -> dict[str, Any]:
    timed = [(request.latency_ms, row_id) for row_id, request in members if request.latency_ms is not None]
    slowest_ms, slowest_id = max(timed, default=(None, None))
    counts = Counter(bucket_of(latency) for latency, _ in timed)
    return {
        "requests": len(members),
        "latency_sum_ms": sum(latency for latency, _ in timed),
        "latency_histogram": Histogram(dict(counts)).to_bytes(),
        "slowest_ms": slowest_ms,
        "slowest_request_id": slowest_id,
        "cost_nanousd": sum((request.cost_usd for _, request in members), Decimal(0)),
        "prompt_tokens": sum(request.prompt_tokens or 0 for _, request in members),
        "completion_tokens": sum(request.completion_tokens or 0 for _, request in members),
    }


def _spend_of(new: Iterable[tuple[int, NewRequest]]) -> dict[Key, dict[str, Any]]:
    minutes: defaultdict[Key, list[NewRequest]] = defaultdict(list)
    for _, request in new:
        minute = request.created_at.astimezone(UTC).replace(second=0, microsecond=0)
        minutes[minute, request.user_id].append(request)
    groups: defaultdict[Key, list[NewRequest]] = defaultdict(list)
    for (minute, user_id), members in minutes.items():
        for resolution in Resolution:
            groups[resolution, bucket_start(minute, resolution), user_id] += members
    return {
        key: {
            "requests": len(members),
            "failed": sum(request.status in FAILED_STATUSES for request in members),
            "cost_nanousd": sum((request.cost_usd for request in members), Decimal(0)),
        }
        for key, members in groups.items()
    }


async def _roll_up(
    session: WriteSession, table: Table, key: tuple[str, ...], additions: Mapping[Key, dict[str, Any]]
) -> None:
    """Add to existing buckets and insert the others; bucket rows are locked in a fixed order.

    A bucket that another transaction inserts meanwhile is added to in another round.
    """
    left = sorted(additions)
    while left:
        existing = await _lock_buckets(session, table, key, left)
        changed = [
            {"bucket_id": bucket["id"]} | _sum_of(bucket, additions[found])
            for found, bucket in existing.items()
        ]
        if changed:
            await session.execute(update(table).where(table.c.id == bindparam("bucket_id")), changed)
        missing = [found for found in left if found not in existing]
        if not missing:
            return
        rows = [dict(zip(key, found, strict=True)) | additions[found] for found in missing]
        inserted = await _insert_new(session, table, key, rows)
        left = [found for found in missing if found not in inserted]


async def _lock_buckets(
    session: WriteSession, table: Table, key: tuple[str, ...], keys: Sequence[Key]
) -> dict[Key, RowMapping]:
    """Lock and return the existing buckets by key."""
    wanted = _as_table(session, table, [dict(zip(key, one, strict=True)) for one in keys])
    statement = select(table).where(*(table.c[name] == wanted.c[name] for name in key))
    if not _is_sqlite(session):
        # Lateral, so that each bucket is found by its key and locked in the order of the keys, where a
        # planner without statistics would rather read the whole table.
        bucket = statement.with_for_update().lateral()
        statement = select(bucket).select_from(wanted.join(bucket, true()))
    found = (await session.execute(statement)).mappings()
    return {tuple(bucket[name] for name in key): bucket for bucket in found}


async def _insert_new(
    session: WriteSession, table: Table, key: tuple[str, ...], rows: Sequence[dict[str, Any]]
) -> dict[Key, int]:
    """Insert the rows whose key is not taken; return their ids by key."""
    statement = dialect_of(session).insert(table)
    values: Sequence[dict[str, Any]] | None = rows
    if not _is_sqlite(session):
        statement, values = statement.from_select([*rows[0]], select(_as_table(session, table, rows))), None
    statement = statement.on_conflict_do_nothing(index_elements=key)
    returned = statement.returning(table.c.id, *(table.c[name] for name in key))
    return {tuple(row[1:]): row[0] for row in await session.execute(returned, values)}


def _as_table(session: WriteSession, table: Table, rows: Sequence[Mapping[str, Any]]) -> FromClause:
    """Return rows as a table of few bound values: it takes long to bind and to parse one for each field."""
    columns = [table.c[name] for name in rows[0]]
    if not _is_sqlite(session):
        arrays = (literal([row[each.name] for row in rows], ARRAY(_whole(each.type))) for each in columns)
        typed = (column(each.name, each.type) for each in columns)
        return func.unnest(*arrays).table_valued(*typed).render_derived()
    dialect = session.get_bind().dialect
    stored = [each.type.dialect_impl(dialect).bind_processor(dialect) or _without_nul for each in columns]
    fields_of = [[to(value) for to, value in zip(stored, row.values(), strict=True)] for row in rows]
    given = func.json_each(json.dumps(fields_of)).table_valued("value")
    return select(
        *(func.json_extract(given.c.value, f"$[{n}]").label(each.name) for n, each in enumerate(columns))
    ).subquery()


def _whole(stored: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return the type without its length: a cast to it would cut what is too long, without an error."""
    return String() if isinstance(stored, String) else stored


def _without_nul(value: Any) -> Any:
    """Return a value as it is; SQLite reads the text of a JSON document only up to a NUL.

    Raises:
        ValueError: It holds NUL, which PostgreSQL does not store either.
    """
    if isinstance(value, str) and "\0" in value:
        raise ValueError(f"{value!r} holds NUL, which cannot be stored")
    return value


def _sum_of(present: RowMapping, addition: Mapping[str, Any]) -> dict[str, Any]:
    """Return a bucket's values after an addition."""
    result = {name: present[name] + value for name, value in addition.items() if name not in _NOT_ADDED}
    if "latency_histogram" in addition:
        both = [present["latency_histogram"], addition["latency_histogram"]]
        slower = addition if (addition["slowest_ms"] or 0) > (present["slowest_ms"] or 0) else present
        result |= {
            "latency_histogram": Histogram.merged(both).to_bytes(),
            "slowest_ms": slower["slowest_ms"],
            "slowest_request_id": slower["slowest_request_id"],
        }
    return result
