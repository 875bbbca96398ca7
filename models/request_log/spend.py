"""Requests, failures and cost of users by the hour, with the minutes of each hour beside its sums."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from models.request_log.buckets import add_to_buckets
from models.request_log.bulk import Bulk, BulkTable, Values
from models.request_log.rows import NewRequest, nano_of
from models.request_log.time_buckets import minute_of, start_of
from models.tables.gateway.requests import FAILED_STATUSES
from models.tables.gateway.rollups import Resolution

SPEND = BulkTable(
    "user_spend",
    key={"resolution": "text", "bucket_start": "timestamptz", "user_id": "bigint"},
    sums={"requests": "bigint", "failed": "bigint", "cost_nanousd": "bigint"},
    others={"minutes": "text"},
)
_FAILED = frozenset(map(str, FAILED_STATUSES))
_CELLS = msgspec.json.Decoder(list[list[int]])

Minutes = dict[int, list[int]]
"""Requests, failures and nano-dollars by the minute of the hour."""


async def add_spend(bulk: Bulk, new: Iterable[tuple[int, NewRequest]]) -> None:
    """Add requests, given with their ids, to the hours of their users."""
    await add_to_buckets(bulk, SPEND, spend_of(new), merged)


def spend_of(new: Iterable[tuple[int, NewRequest]]) -> dict[Values, Values]:
    """Return the sums and others of requests by the key of their buckets."""
    hours: dict[tuple[int, int], Minutes] = {}
    for _, request in new:
        moment = minute_of(request.created_at)
        minute = moment % 60
        cells = hours.setdefault((moment - minute, request.user_id), {})
        cell = cells.setdefault(minute, [0, 0, 0])
        cell[0] += 1
        cell[1] += request.status in _FAILED
        cell[2] += nano_of(request.cost_usd)
    return {
        (str(Resolution.HOUR), start_of(hour), user): (
            *map(sum, zip(*cells.values(), strict=True)),
            _text(cells),
        )
        for (hour, user), cells in hours.items()
    }


def merged(stored: Values, added: Values) -> Values:
    """Return the minutes of both."""
    cells: Minutes = {minute: sums for minute, *sums in _CELLS.decode(stored[0])}
    for minute, *sums in _CELLS.decode(added[0]):
        present = cells.get(minute)
        cells[minute] = sums if present is None else [*map(sum, zip(present, sums, strict=True))]
    return (_text(cells),)


def _text(cells: Minutes) -> str:
    return msgspec.json.encode([[minute, *cells[minute]] for minute in sorted(cells)]).decode()
