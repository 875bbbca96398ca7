"""Rollups of requests by minute, ten minutes and hour."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from models.histogram import bucket_of, merge_packed, packed
from models.request_log.buckets import add_to_buckets
from models.request_log.bulk import Bulk, BulkTable, Values
from models.request_log.rows import NewRequest, nano_of
from models.request_log.time_buckets import WIDTHS, minute_of, start_of

ROLLUPS = BulkTable(
    "request_rollups",
    key={
        "resolution": "text",
        "bucket_start": "timestamptz",
        "deployment_id": "bigint",
        "tier": "text",
        "router_version": "text",
        "task_type": "text",
        "status": "text",
        "error_code": "text",
    },
    sums={
        "requests": "bigint",
        "latency_sum_ms": "bigint",
        "cost_nanousd": "bigint",
        "prompt_tokens": "bigint",
        "completion_tokens": "bigint",
    },
    others={"latency_histogram": "bytea", "slowest_ms": "bigint", "slowest_request_id": "bigint"},
    mostly_new=True,
)


class _Bucket:
    """Sums of the requests of one bucket."""

    __slots__ = ("counts", "slowest_id", "slowest_ms", "sums")

    def __init__(self) -> None:
        self.sums = [0, 0, 0, 0, 0]
        self.counts: dict[int, int] = {}
        self.slowest_ms = -1
        self.slowest_id = 0

    def add(self, row_id: int, request: NewRequest) -> None:
        sums, latency = self.sums, request.latency_ms
        sums[0] += 1
        sums[2] += nano_of(request.cost_usd)
        sums[3] += request.prompt_tokens or 0
        sums[4] += request.completion_tokens or 0
        if latency is not None:
            sums[1] += latency
            cell = bucket_of(latency)
            self.counts[cell] = self.counts.get(cell, 0) + 1
            # Of equally slow ones the newest.
            if latency >= self.slowest_ms:
                self.slowest_ms, self.slowest_id = latency, row_id

    def merge(self, other: _Bucket) -> None:
        self.sums = [one + more for one, more in zip(self.sums, other.sums, strict=True)]
        for cell, count in other.counts.items():
            self.counts[cell] = self.counts.get(cell, 0) + count
        self.slowest_ms, self.slowest_id = max(
            (self.slowest_ms, self.slowest_id), (other.slowest_ms, other.slowest_id)
        )

    def values(self) -> Values:
        slowest = (None, None) if self.slowest_ms < 0 else (self.slowest_ms, self.slowest_id)
        return (*self.sums, packed(self.counts), *slowest)


async def add_rollups(bulk: Bulk, new: Iterable[tuple[int, NewRequest]]) -> None:
    """Add requests, given with their ids in ascending order, to their buckets."""
    await add_to_buckets(bulk, ROLLUPS, rollups_of(new), merged)


def rollups_of(new: Iterable[tuple[int, NewRequest]]) -> dict[Values, Values]:
    """Return the sums and others of requests by the key of their buckets."""
    minutes: dict[tuple[Any, ...], _Bucket] = {}
    for row_id, request in new:
        key = (
            minute_of(request.created_at), request.deployment_id, request.tier, request.router_version or "",
            request.task_type or "", request.status, request.error_code or "",
        )  # fmt: skip
        bucket = minutes.get(key)
        if bucket is None:
            bucket = minutes[key] = _Bucket()
        bucket.add(row_id, request)
    result: dict[Values, Values] = {}
    for resolution, width in WIDTHS.items():
        buckets = minutes if width == 1 else _wider(minutes, width)
        for (minute, *dimensions), bucket in buckets.items():
            result[str(resolution), start_of(minute), *dimensions] = bucket.values()
    return result


def _wider(minutes: dict[tuple[Any, ...], _Bucket], width: int) -> dict[tuple[Any, ...], _Bucket]:
    wider: dict[tuple[Any, ...], _Bucket] = {}
    for (minute, *dimensions), bucket in minutes.items():
        key = (minute - minute % width, *dimensions)
        total = wider.get(key)
        if total is None:
            total = wider[key] = _Bucket()
        total.merge(bucket)
    return wider


def merged(stored: Values, added: Values) -> Values:
    """Return histogram and slowest request of both; of equally slow ones the newest."""
    slower = max(stored[1:], added[1:], key=lambda slowest: (-1, 0) if slowest[0] is None else slowest)
    return (merge_packed(stored[0], added[0]), *slower)
