"""The only way to store requests: appends them and keeps their rollups consistent."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import ModuleType
from typing import Any, TypeVar

from sqlalchemy import select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from models.database import WriteSession
from models.histogram import Histogram, bucket_of
from models.tables.gateway.requests import Request
from models.tables.gateway.rollups import RequestRollup, Resolution, UserSpend

RollupTable = TypeVar("RollupTable", RequestRollup, UserSpend)
RollupKey = tuple[Any, ...]

_ROLLUP_KEY = (
    "resolution", "bucket_start", "deployment_id", "tier", "router_version", "task_type",
    "status", "error_code",
)  # fmt: skip
_SPEND_KEY = ("resolution", "bucket_start", "user_id")
_KEYS_PER_SELECT = 500
"""SQLite and PostgreSQL both take at least 32,000 bound values in a statement."""


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


_COLUMNS = tuple(field.name for field in fields(NewRequest) if field.name != "tier")


async def append(session: WriteSession, requests: Sequence[NewRequest]) -> dict[str, int]:
    """Append the requests that are new; return their database ids by public id."""
    if not requests:
        return {}
    by_public_id = {request.public_id: request for request in requests}
    rows = [{name: getattr(request, name) for name in _COLUMNS} for request in by_public_id.values()]
    statement = dialect_of(session).insert(Request).on_conflict_do_nothing(index_elements=["public_id"])
    returned = await session.execute(statement.returning(Request.id, Request.public_id), rows)
    added = {public_id: row_id for row_id, public_id in returned}
    new = [(row_id, by_public_id[public_id]) for public_id, row_id in sorted(added.items())]
    await _roll_up(session, RequestRollup, _ROLLUP_KEY, _rollups_of(new))
    await _roll_up(session, UserSpend, _SPEND_KEY, _spend_of(new))
    return added


def dialect_of(session: WriteSession) -> ModuleType:
    """Return the SQLAlchemy dialect whose INSERT supports ON CONFLICT."""
    return sqlite if session.get_bind().dialect.name == "sqlite" else postgresql


def bucket_start(moment: datetime, resolution: Resolution) -> datetime:
    """Return the start of the UTC bucket that contains a moment."""
    utc = moment.astimezone(UTC)
    width = resolution.width // timedelta(minutes=1)
    return utc.replace(minute=utc.minute - utc.minute % width, second=0, microsecond=0)


def _rollups_of(new: Iterable[tuple[int, NewRequest]]) -> dict[RollupKey, dict[str, Any]]:
    groups: defaultdict[RollupKey, list[tuple[int, NewRequest]]] = defaultdict(list)
    for row_id, request in new:
        for resolution in Resolution:
            key = (
                resolution, bucket_start(request.created_at, resolution), request.deployment_id,
                request.tier, request.router_version or "", request.task_type or "",
                request.status, request.error_code or "",
            )  # fmt: skip
            groups[key].append((row_id, request))
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
        "cost_usd": sum((request.cost_usd for _, request in members), Decimal(0)),
        "prompt_tokens": sum(request.prompt_tokens or 0 for _, request in members),
        "completion_tokens": sum(request.completion_tokens or 0 for _, request in members),
    }


def _spend_of(new: Iterable[tuple[int, NewRequest]]) -> dict[RollupKey, dict[str, Any]]:
    spend: defaultdict[RollupKey, dict[str, Any]] = defaultdict(
        lambda: {"requests": 0, "cost_usd": Decimal(0)}
    )
    for _, request in new:
        for resolution in Resolution:
            cell = spend[resolution, bucket_start(request.created_at, resolution), request.user_id]
            cell["requests"] += 1
            cell["cost_usd"] += request.cost_usd
    return dict(spend)


async def _roll_up(
    session: WriteSession,
    table: type[RollupTable],
    key: tuple[str, ...],
    additions: Mapping[RollupKey, dict[str, Any]],
) -> None:
    """Add to existing buckets and insert the others; bucket rows are locked in a fixed order.

    A bucket that another transaction inserts meanwhile is added to in another round.
    """
    left = sorted(additions)
    while left:
        existing = await _lock_buckets(session, table, key, left)
        changed = [{"id": row.id} | _add_to_bucket(row, additions[found]) for found, row in existing.items()]
        if changed:
            await session.execute(update(table), changed)
        missing = [found for found in left if found not in existing]
        if not missing:
            return
        rows = [dict(zip(key, found, strict=True)) | additions[found] for found in missing]
        columns = [getattr(table, name) for name in key]
        statement = dialect_of(session).insert(table).on_conflict_do_nothing(index_elements=key)
        inserted = {tuple(row) for row in await session.execute(statement.returning(*columns), rows)}
        left = [found for found in missing if found not in inserted]


async def _lock_buckets(
    session: WriteSession, table: type[RollupTable], key: tuple[str, ...], keys: Sequence[RollupKey]
) -> dict[RollupKey, RollupTable]:
    """Lock and return the existing buckets by key."""
    columns = [getattr(table, name) for name in key]
    found: dict[RollupKey, RollupTable] = {}
    for start in range(0, len(keys), _KEYS_PER_SELECT):
        chosen = keys[start : start + _KEYS_PER_SELECT]
        statement = (
            select(table)
            # Implied by the keys, but without these a planner without statistics scans the table.
            .where(table.resolution.in_({one[0] for one in chosen}))
            .where(table.bucket_start.in_({one[1] for one in chosen}))
            .where(tuple_(*columns).in_(chosen))
            .order_by(*columns)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        rows = await session.scalars(statement)
        found |= {tuple(getattr(row, name) for name in key): row for row in rows}
    return found


def _add_to_bucket(row: RequestRollup | UserSpend, addition: Mapping[str, Any]) -> dict[str, Any]:
    """Return the bucket's values after an addition."""
    result: dict[str, Any] = {}
    for name, value in addition.items():
        present = getattr(row, name)
        if name == "latency_histogram":
            result[name] = Histogram.merged([present, value]).to_bytes()
        elif name not in ("slowest_ms", "slowest_request_id"):
            result[name] = present + value
    if isinstance(row, RequestRollup) and (addition["slowest_ms"] or 0) > (row.slowest_ms or 0):
        result |= {name: addition[name] for name in ("slowest_ms", "slowest_request_id")}
    return result
