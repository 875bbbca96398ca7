"""Rollups counted again from the log: what differs is shown, and made right a day at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, delete, func, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncSession

from models.database import Database
from models.errors import LogIncomplete
from models.request_log.buckets import Merge, add_to_buckets
from models.request_log.bulk import BulkTable, Values, bulk_of
from models.request_log.cold import log_rows
from models.request_log.days import DAY, lock_day
from models.request_log.rollups import ROLLUPS, rollups_of
from models.request_log.rollups import merged as merged_rollups
from models.request_log.rows import NewRequest
from models.request_log.spend import SPEND, spend_of
from models.request_log.spend import merged as merged_spend
from models.request_log.time_buckets import EPOCH
from models.tables.gateway.requests import Request
from models.tables.gateway.rollups import RequestRollup, Resolution, UserSpend

_HOUR = timedelta(hours=1)
_Model = type[RequestRollup] | type[UserSpend]
_TABLES: tuple[tuple[_Model, BulkTable, Merge], ...] = (
    (RequestRollup, ROLLUPS, merged_rollups),
    (UserSpend, SPEND, merged_spend),
)
_TIER = list(ROLLUPS.key).index("tier")

Buckets = dict[Values, Values]
"""Sums and others by key."""


@dataclass(slots=True)
class DayCheck:
    """The rollups of a day beside its requests."""

    day: datetime
    logged: int = 0
    """Requests in the log."""
    counted: int = 0
    """Requests in the rollups."""
    without_tier: int = 0
    """Requests logged before tiers were kept; of theirs, only sums over all tiers are compared."""
    differing: list[str] = field(default_factory=list)
    """The buckets that are not what the log says, or that it does not know."""

    @property
    def missing(self) -> int:
        """Return how many requests are counted and not in the log any more: nothing can be said then."""
        return max(0, self.counted - self.logged)

    def require_complete(self) -> None:
        """Check that the rollups can be made of the log.

        Raises:
            LogIncomplete: They would lose what only they know.
        """
        if self.missing:
            raise LogIncomplete(
                f"{self.day:%Y-%m-%d}: {self.missing:,} of {self.counted:,} counted requests are not in the "
                "log any more; its rollups stay as they are"
            )
        if self.without_tier:
            raise LogIncomplete(
                f"{self.day:%Y-%m-%d}: {self.without_tier:,} requests were logged without the tier of their "
                "user; its rollups stay as they are"
            )


async def days_of(session: AsyncSession) -> list[datetime]:
    """Return the days, in UTC, from the first request or rollup to the last."""
    found: list[datetime] = []
    for column in (Request.created_at, RequestRollup.bucket_start, UserSpend.bucket_start):
        ends = (await session.execute(select(func.min(column), func.max(column)))).one()
        found += [EPOCH + (moment - EPOCH) // DAY * DAY for moment in ends if moment is not None]
    return [min(found) + n * DAY for n in range((max(found) - min(found)) // DAY + 1)] if found else []


async def check_day(session: AsyncSession, day: datetime) -> DayCheck:
    """Compare the rollups of a day with what its requests add up to, as one snapshot shows both."""
    check = DayCheck(day)
    for start in (day + n * _HOUR for n in range(24)):
        requests = await _load_requests(session, start)
        recounted = rollups_of(requests), spend_of(requests)
        unknown = sum(not request.tier for _, request in requests)
        check.logged += len(requests)
        check.without_tier += unknown
        for (model, table, _), expected in zip(_TABLES, recounted, strict=True):
            stored = await _load_buckets(session, model, table, start)
            if model is RequestRollup:
                check.counted += sum(values[0] for key, values in stored.items() if key[0] == Resolution.HOUR)
                view = _over_tiers if unknown else _comparable
                stored, expected = view(stored), view(expected)  # noqa: PLW2901  as they are compared
            check.differing += _differences(table, stored, expected)
    return check


async def rebuild_day(database: Database, day: datetime) -> bool:
    """Make the rollups of a day what its requests add up to; return whether they were not.

    In one transaction: readers see the old ones or the new ones, and writers of this day wait.

    Raises:
        LogIncomplete: The log does not hold all of the day's requests any more; nothing changes.
    """
    async with database.write() as session:
        await lock_day(session, day)
        check = await check_day(session, day)
        if not check.differing:
            return False
        check.require_complete()
        bulk = bulk_of(session)
        for start in (day + n * _HOUR for n in range(24)):
            requests = await _load_requests(session, start)
            recounted = rollups_of(requests), spend_of(requests)
            for (model, table, merge), buckets in zip(_TABLES, recounted, strict=True):
                await session.execute(delete(model).where(*_within(model, start)))
                await add_to_buckets(bulk, table, buckets, merge)
    return True


async def _load_requests(session: AsyncSession, start: datetime) -> list[tuple[int, NewRequest]]:
    """Return the requests of an hour with their ids; one without a tier has none."""
    names = ("public_id", "user_id", "deployment_id", "status", "error_code", "latency_ms",
             "cost_usd", "prompt_tokens", "completion_tokens", "task_type", "router_version")  # fmt: skip
    columns = [getattr(Request, name) for name in names]
    end = start + _HOUR
    statement = select(
        Request.id, Request.created_at, func.coalesce(Request.tier, "").label("tier"), *columns
    ).where(Request.created_at >= start, Request.created_at < end)
    rows = await log_rows(session, statement, since=start, until=end)
    return sorted(
        (
            (row_id, NewRequest(created_at=moment, tier=tier, **dict(zip(names, values, strict=True))))
            for row_id, moment, tier, *values in rows
        ),
        key=lambda request: request[0],
    )


async def _load_buckets(session: AsyncSession, model: _Model, table: BulkTable, start: datetime) -> Buckets:
    """Return the buckets of an hour."""
    stored = model.__table__.c
    columns = [
        type_coerce(stored[name], BigInteger) if name == "cost_nanousd" else stored[name]
        for name in table.columns
    ]
    width = len(table.key)
    rows = await session.execute(select(*columns).where(*_within(model, start)))
    return {tuple(row[:width]): tuple(row[width:]) for row in rows}


def _within(model: _Model, start: datetime) -> tuple[Any, Any]:
    return model.bucket_start >= start, model.bucket_start < start + _HOUR


def _comparable(buckets: Mapping[Values, Values]) -> Buckets:
    """Return rollups without the id of the slowest request: of equally slow ones any will do."""
    return {key: values[:-1] for key, values in buckets.items()}


def _over_tiers(buckets: Mapping[Values, Values]) -> Buckets:
    """Return the sums of rollups over all tiers."""
    totals: Buckets = {}
    for key, values in buckets.items():
        rest = (*key[:_TIER], "", *key[_TIER + 1 :])
        sums = values[: len(ROLLUPS.sums)]
        totals[rest] = tuple(map(sum, zip(totals[rest], sums, strict=True))) if rest in totals else sums
    return totals


def _differences(table: BulkTable, stored: Buckets, expected: Buckets) -> Iterable[str]:
    for key in sorted(stored.keys() | expected.keys()):
        if stored.get(key) != expected.get(key):
            resolution, start, *dimensions = key
            named = ", ".join(
                f"{name} {value}" for name, value in zip([*table.key][2:], dimensions, strict=True) if value
            )
            yield f"{table.name} {resolution} {start:%Y-%m-%d %H:%M}: {named}"
