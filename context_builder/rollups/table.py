"""The tables of rollups: which of their columns are kept in memory, and how they are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import text

from models import Resolution
from models.database import ReadSession

_ROWS_AT_ONCE = 2_000
"""Rows that become Python objects without a pause: a few milliseconds of the event loop."""

_CELLS = msgspec.json.Decoder(list[list[int]])

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class RollupTable:
    """A table of rollups. Its columns are listed in the order in which `read` returns them."""

    name: str
    numbers: tuple[str, ...]
    texts: tuple[str, ...] = ()
    moments: tuple[str, ...] = ()
    """Columns of time, in minutes since 1970; `start` comes first."""
    has_resolution: bool = True
    has_histogram: bool = False
    has_minutes: bool = False
    """True if there are rows of hours alone, each with its minutes as JSON, to be read last."""

    async def read(self, session: ReadSession, condition: str, limit: int | None = None) -> list[Row]:
        """Load rows as tuples: id, resolution, start, other moments, numbers, texts and the histogram."""
        is_sqlite = session.get_bind().dialect.name == "sqlite"
        statement = f"SELECT {', '.join(self._columns(is_sqlite))} FROM {self.name} WHERE ({condition})"  # noqa: S608
        # What is left of older rows is on its way out.
        statement += f" AND resolution = '{Resolution.HOUR}'" if self.has_minutes else ""
        statement += f" LIMIT {limit}" if limit is not None else ""
        found = await session.stream(text(statement))
        return [tuple(row) async for part in found.partitions(_ROWS_AT_ONCE) for row in part]

    def _columns(self, is_sqlite: bool) -> Iterator[str]:
        yield "id"
        yield "resolution" if self.has_resolution else f"'{Resolution.HOUR}'"
        for name in ("bucket_start", *self.moments):
            seconds = (
                f"CAST(strftime('%s', {name}) AS INTEGER)"
                if is_sqlite
                else f"extract(epoch FROM {name})::bigint"
            )
            yield f"{seconds} / 60"
        # Only a slowest request may be missing.
        yield from (f"coalesce({name}, -1)" for name in self.numbers)
        yield from self.texts
        if self.has_histogram:
            yield "latency_histogram"
        if self.has_minutes:
            yield "minutes"

    def of_resolution(self, rows: Iterable[Row], resolution: Resolution) -> Iterator[Row]:
        """Yield rows of one resolution, of rows as they are read; those of minutes are made of hours."""
        if not self.has_minutes:
            yield from (row for row in rows if row[1] == resolution)
            return
        width = resolution.width // timedelta(minutes=1)
        for number, _, start, user, *sums, minutes in rows:
            if resolution is Resolution.HOUR:
                yield (number, resolution, start, user, *sums)
                continue
            # Without generators inside: busy users of a busy hour have a hundred thousand minutes.
            cells = _CELLS.decode(minutes)
            slots = {minute: totals for minute, *totals in cells} if width == 1 else _summed(cells, width)
            for place, totals in slots.items():
                yield (number, resolution, start + place, user, *totals)

    def within(self, resolution: Resolution, start: datetime, end: datetime) -> str:
        """Return the SQL condition for the buckets of one resolution in [start, end)."""
        width = f"resolution = '{resolution}' AND " if self.has_resolution and not self.has_minutes else ""
        return f"{width}bucket_start >= {_literal(start)} AND bucket_start < {_literal(end)}"


def _summed(cells: Iterable[Sequence[int]], width: int) -> dict[int, list[int]]:
    """Return the sums of minutes by the first minute of their slot."""
    slots: dict[int, list[int]] = {}
    for minute, requests, failed, nano in cells:
        total = slots.get(place := minute - minute % width)
        if total is None:
            slots[place] = [requests, failed, nano]
        else:
            total[0] += requests
            total[1] += failed
            total[2] += nano
    return slots


def _literal(moment: datetime) -> str:
    """Return a moment as both databases read it; SQLite compares it as text with what is stored."""
    return f"'{moment:%Y-%m-%d %H:%M:%S}+00'"


REQUESTS = RollupTable(
    "request_rollups",
    (
        "deployment_id", "requests", "latency_sum_ms", "cost_nanousd", "prompt_tokens", "completion_tokens",
        "slowest_ms", "slowest_request_id",
    ),
    ("tier", "router_version", "task_type", "status", "error_code"),
    has_histogram=True,
)  # fmt: skip
"""Slowest request and its latency are -1 without a timed request."""
SPEND = RollupTable("user_spend", ("user_id", "requests", "failed", "cost_nanousd"), has_minutes=True)
QUALITY = RollupTable(
    "quality_rollups",
    ("deployment_id", "scores", "score_sum_millionths", "score_square_sum_millionths"),
    ("tier", "router_version", "task_type"),
    ("scored_hour",),
    has_resolution=False,
)
TABLES = (REQUESTS, SPEND, QUALITY)
