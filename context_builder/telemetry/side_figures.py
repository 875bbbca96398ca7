"""The figures of the sides that a question compares, by block of time, from the rollups alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import IntEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt
from sqlalchemy import func, select

from context_builder.question.request import ContextRequest, Interval, Scope, Side, Window
from context_builder.rollups.rows import Rows
from context_builder.rollups.scope import known_scores, rollup_scope, users_in_scope
from context_builder.rollups.span import Span, by_hour, by_minute, covering, minute_of
from context_builder.rollups.store import Rollups
from context_builder.rollups.table import QUALITY, REQUESTS, SPEND
from context_builder.telemetry.chance import Floats, block_length
from models import FAILED_STATUSES, RequestRollup, RequestStatus, Resolution
from models.histogram import Histogram, grouped_histograms
from models.tables.schema import NANO, UtcDateTime

_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MIN_ALIKE = 0.5
"""Share of both sides that must lie at the same times of day for them to be compared pair by pair."""


class Measure(IntEnum):
    """What is summed by block; whole numbers, so that sums do not depend on their order."""

    MINUTES = 0
    REQUESTS = 1
    FAILED = 2
    TIMEOUTS = 3
    RATE_LIMITED = 4
    NANO_USD = 5
    SCORES = 6
    SCORE_MILLIONTHS = 7


@dataclass(frozen=True)
class SideFigures:
    """What was recorded of one side."""

    side: Side
    sums: npt.NDArray[np.int64]
    """By measure and block."""
    latencies: tuple[Histogram, ...]
    """By block."""
    of_users: bool = False
    """True if only requests and cost are known, from the spend of its users."""

    def total(self, measure: Measure) -> int:
        """Return the sum over all blocks."""
        return int(self.sums[measure].sum())

    def by_block(self, measure: Measure) -> Floats:
        """Return the sum of each block."""
        values: Floats = self.sums[measure].astype(np.float64)
        return values

    @property
    def recorded(self) -> timedelta:
        """Return for how long requests were recorded."""
        return self.total(Measure.MINUTES) * _MINUTE

    @property
    def cost_usd(self) -> Decimal:
        """Return the cost of all requests."""
        return Decimal(self.total(Measure.NANO_USD)) / NANO

    @cached_property
    def latency(self) -> Histogram:
        """Return the latencies of all blocks."""
        return Histogram.total_of(one.counts for one in self.latencies)

    def only(self, blocks: npt.NDArray[np.bool_]) -> SideFigures:
        """Return the figures of some of the blocks."""
        kept = tuple(one for one, wanted in zip(self.latencies, blocks, strict=True) if wanted)
        return replace(self, sums=self.sums[:, blocks], latencies=kept)


@dataclass(frozen=True)
class SidesFound:
    """The figures of all sides."""

    sides: tuple[SideFigures, ...]
    paired: bool
    """True if blocks at the same place are of the same time, or time of day, on both sides."""
    since: datetime | None
    """Start of the first hour on record."""
    gaps: tuple[str, ...]

    def alike(self) -> tuple[SideFigures, ...]:
        """Return the blocks that can be compared: of a fair length, and of paired sides on both."""
        minutes = [one.sums[Measure.MINUTES] for one in self.sides]
        longest = max(int(side.max()) for side in minutes)
        kept = [2 * side >= max(longest, 1) for side in minutes]
        if self.paired:
            kept = [np.logical_and.reduce(kept)] * len(kept)
        return tuple(one.only(blocks) for one, blocks in zip(self.sides, kept, strict=True))


async def load_sides(rollups: Rollups, request: ContextRequest) -> SidesFound:
    """Load the figures of the request's sides, in their order."""
    first = select(func.min(RequestRollup.bucket_start, type_=UtcDateTime))
    async with rollups.snapshot.session() as session:
        since = await session.scalar(first.where(RequestRollup.resolution == Resolution.HOUR))
    intervals = [_recorded(side.intervals, since) for side in request.sides]
    paired, length = _blocks(request.sides, intervals)
    span = max(side.intervals[-1].end - side.intervals[0].start for side in request.sides)
    found = []
    gaps: dict[str, None] = {}
    for side, recorded in zip(request.sides, intervals, strict=True):
        grid = _Grid(side.intervals[0].start, length, -(-span // length), recorded)
        figures, missing = await _load(rollups, replace(request, scope=side.scope), side, grid)
        found.append(figures)
        gaps |= dict.fromkeys(missing)
    return SidesFound(tuple(found), paired, since, tuple(gaps))


@dataclass(frozen=True, slots=True)
class _Grid:
    """The blocks of a side."""

    start: datetime
    length: timedelta
    blocks: int
    intervals: tuple[Interval, ...]
    """Those on record; they may leave blocks empty."""

    @property
    def by_minute(self) -> bool:
        """Return whether blocks are finer than the rollups of hours."""
        return self.length < _HOUR

    def block_of(self, moment: datetime) -> int:
        """Return the block that a rollup's bucket counts in."""
        return (moment - self.start) // self.length

    def blocks_of(self, rows: Rows) -> npt.NDArray[np.int64]:
        """Return the block of each row."""
        blocks: npt.NDArray[np.int64] = (rows["start"] - minute_of(self.start)) // (self.length // _MINUTE)
        return blocks

    def minutes(self) -> npt.NDArray[np.int64]:
        """Return the minutes of each block."""
        minutes = np.zeros(self.blocks, dtype=np.int64)
        for interval in self.intervals:
            moment = interval.start
            while moment < interval.end:
                whole = not self.by_minute and moment.minute == 0 and moment + _HOUR <= interval.end
                minutes[self.block_of(moment)] += 60 if whole else 1
                moment += _HOUR if whole else _MINUTE
        return minutes

    def spans(self) -> Iterator[Span]:
        """Yield the buckets of requests, each once."""
        covers = by_minute if self.by_minute else covering
        for one in self.intervals:
            yield from covers(Window(one.start, one.end))

    def whole_hours(self) -> Iterator[Span]:
        """Yield the whole hours, for scores."""
        for one in self.intervals:
            first = (one.start + (_HOUR - _MINUTE)).replace(minute=0)
            yield from by_hour(first, one.end.replace(minute=0))


def _recorded(intervals: Sequence[Interval], since: datetime | None) -> tuple[Interval, ...]:
    """Return the parts from `since` on; none without any request on record."""
    if since is None:
        return ()
    return tuple(Interval(max(one.start, since), one.end) for one in intervals if one.end > since)


def _blocks(sides: Sequence[Side], recorded: Sequence[tuple[Interval, ...]]) -> tuple[bool, timedelta]:
    """Return whether the sides are compared pair by pair, and the length of a block."""
    lengths = [sum((one.end - one.start for one in side), timedelta()) for side in recorded]
    one, other = min(lengths), max(lengths)
    shift = sides[-1].intervals[0].start - sides[0].intervals[0].start
    alike = sum((min(a.end + shift, b.end) - max(a.start + shift, b.start)
                 for a in recorded[0] for b in recorded[-1]
                 if a.start + shift < b.end and b.start < a.end + shift), timedelta())  # fmt: skip
    paired = not shift % _DAY and alike > timedelta() and alike >= MIN_ALIKE * other
    return paired, block_length(alike, alike, paired=True) if paired else block_length(
        one, other, paired=False
    )


async def _load(
    rollups: Rollups, request: ContextRequest, side: Side, grid: _Grid
) -> tuple[SideFigures, tuple[str, ...]]:
    """Load one side, whose scope is that of the request, and what is missing of it."""
    sums = np.zeros((len(Measure), grid.blocks), dtype=np.int64)
    sums[Measure.MINUTES] = grid.minutes()
    figures = SideFigures(side, sums, (Histogram({}),) * grid.blocks)
    if side.scope.user_ids and not side.scope.tiers:
        spend = await rollups.read(SPEND, *grid.spans())
        _add(figures, grid, spend.where(users_in_scope(side.scope, spend)), _SPEND)
        return replace(figures, of_users=True), _user_gaps(side.scope)
    scope = await rollup_scope(rollups, request)
    traffic = await rollups.read(REQUESTS, *grid.spans())
    scores = await rollups.read(QUALITY, *grid.whole_hours())
    scores = scores.where(known_scores(scores, request))
    # Merging the histograms of a long side takes a while; a thread keeps the event loop free.
    latencies = await asyncio.to_thread(_add_all, figures, grid, scope.of(traffic), scope.of(scores))
    return replace(figures, latencies=latencies), scope.gaps


def _user_gaps(scope: Scope) -> tuple[str, ...]:
    gaps = ("errors, latency and quality by user, of whom only requests and cost are recorded",)
    if not scope.deployment_ids:
        return gaps
    return (*gaps, "requests and cost by user and deployment; those here are on all deployments")


_SPEND = {Measure.REQUESTS: "requests", Measure.NANO_USD: "cost_nanousd"}
_SCORES = {Measure.SCORES: "scores", Measure.SCORE_MILLIONTHS: "score_sum_millionths"}
_STATUSES = {
    Measure.FAILED: FAILED_STATUSES,
    Measure.TIMEOUTS: (RequestStatus.TIMEOUT,),
    Measure.RATE_LIMITED: (RequestStatus.RATE_LIMITED,),
}


def _add_all(figures: SideFigures, grid: _Grid, traffic: Rows, scores: Rows) -> tuple[Histogram, ...]:
    """Add requests and scores to the sums; return the latencies by block."""
    _add(figures, grid, traffic, _SPEND)
    for measure, statuses in _STATUSES.items():
        _add(figures, grid, traffic.where(traffic.having("status", statuses)), {measure: "requests"})
    _add(figures, grid, scores, _SCORES)
    return tuple(grouped_histograms(traffic["histogram"], grid.blocks_of(traffic), grid.blocks))


def _add(figures: SideFigures, grid: _Grid, rows: Rows, columns: Mapping[Measure, str]) -> None:
    for measure, column in columns.items():
        np.add.at(figures.sums[measure], grid.blocks_of(rows), rows[column])
