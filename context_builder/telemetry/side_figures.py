"""The figures of the sides that a question compares, by block of time, from the rollups alone."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import BigInteger, ColumnElement, Select, and_, case, func, or_, select, type_coerce

from context_builder.question.request import ContextRequest, Interval, Scope, Side, Window
from context_builder.telemetry.chance import Floats, block_length
from context_builder.telemetry.rollups import (
    concatenated_histograms,
    in_window,
    in_window_by_minute,
    merge_histograms,
    rollup_scope,
    scored_by,
)
from context_builder.telemetry.user_scope import of_users
from models import FAILED_STATUSES, QualityRollup, RequestRollup, RequestStatus, Resolution, UserSpend
from models.database import ReadSession
from models.histogram import Histogram
from models.tables.schema import NANO, UtcDateTime

_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_MAX_INTERVALS = 100
"""Per statement: SQLite limits the depth of an expression."""
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


async def load_sides(session: ReadSession, request: ContextRequest) -> SidesFound:
    """Load the figures of the request's sides, in their order."""
    first = select(func.min(RequestRollup.bucket_start, type_=UtcDateTime))
    since = await session.scalar(first.where(RequestRollup.resolution == Resolution.HOUR))
    intervals = [_recorded(side.intervals, since) for side in request.sides]
    paired, length = _blocks(request.sides, intervals)
    span = max(side.intervals[-1].end - side.intervals[0].start for side in request.sides)
    found = []
    gaps: dict[str, None] = {}
    for side, recorded in zip(request.sides, intervals, strict=True):
        grid = _Grid(side.intervals[0].start, length, -(-span // length), recorded)
        figures, missing = await _load(session, replace(request, scope=side.scope), side, grid)
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

    def spans(self, table: type[RequestRollup | UserSpend]) -> Iterator[ColumnElement[bool]]:
        """Yield conditions that together select the buckets, each once."""
        covers = in_window_by_minute if self.by_minute else in_window
        for place in range(0, len(self.intervals), _MAX_INTERVALS):
            some = self.intervals[place : place + _MAX_INTERVALS]
            yield or_(*(covers(table, Window(one.start, one.end)) for one in some))

    def whole_hours(self) -> Iterator[ColumnElement[bool]]:
        """Yield conditions for the scores of the whole hours."""
        hours = [(one.start + (_HOUR - _MINUTE), one.end) for one in self.intervals]
        column = QualityRollup.bucket_start
        for place in range(0, len(hours), _MAX_INTERVALS):
            yield or_(
                *(
                    and_(column >= start.replace(minute=0), column < end.replace(minute=0))
                    for start, end in hours[place : place + _MAX_INTERVALS]
                )
            )


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
    session: ReadSession, request: ContextRequest, side: Side, grid: _Grid
) -> tuple[SideFigures, tuple[str, ...]]:
    """Load one side, whose scope is that of the request, and what is missing of it."""
    sums = np.zeros((len(Measure), grid.blocks), dtype=np.int64)
    sums[Measure.MINUTES] = grid.minutes()
    figures = SideFigures(side, sums, (Histogram({}),) * grid.blocks)
    if side.scope.user_ids and not side.scope.tiers:
        await _add_rows(session, figures, grid, _spend(grid, side.scope))
        return replace(figures, of_users=True), _user_gaps(side.scope)
    traffic = await rollup_scope(session, request)
    histograms = await _add_rows(
        session, figures, grid, _traffic(grid, traffic.condition, concatenated_histograms(session))
    )
    scored = await rollup_scope(session, request, QualityRollup)
    known = and_(scored_by(request.as_of, is_now=request.is_now), scored.condition)
    await _add_rows(session, figures, grid, _scores(grid, known))
    # Merging the histograms of a long side takes a while; a thread keeps the event loop free.
    merged = await asyncio.to_thread(
        lambda: tuple(merge_histograms("".join(histograms[block])) for block in range(grid.blocks))
    )
    return replace(figures, latencies=merged), traffic.gaps


def _user_gaps(scope: Scope) -> tuple[str, ...]:
    gaps = ("errors, latency and quality by user, of whom only requests and cost are recorded",)
    if not scope.deployment_ids:
        return gaps
    return (*gaps, "requests and cost by user and deployment; those here are on all deployments")


_Columns = dict[Measure, ColumnElement[Any]]
_Statements = Iterator[tuple[Sequence[Measure], Select[*tuple[Any, ...]]]]
"""The measures that a row has after its bucket, and the statement; histograms come last."""


def _traffic(grid: _Grid, condition: ColumnElement[bool], histograms: ColumnElement[str]) -> _Statements:
    table = RequestRollup

    def requests(*statuses: RequestStatus) -> ColumnElement[Any]:
        return func.sum(case((table.status.in_(statuses), table.requests), else_=0))

    columns: _Columns = {
        Measure.REQUESTS: func.sum(table.requests),
        Measure.FAILED: requests(*FAILED_STATUSES),
        Measure.TIMEOUTS: requests(RequestStatus.TIMEOUT),
        Measure.RATE_LIMITED: requests(RequestStatus.RATE_LIMITED),
        Measure.NANO_USD: func.sum(type_coerce(table.cost_usd, BigInteger)),
    }
    for span in grid.spans(table):
        chosen = select(table.bucket_start, *columns.values(), histograms).where(span, condition)
        yield list(columns), chosen.group_by(table.bucket_start)


def _spend(grid: _Grid, scope: Scope) -> _Statements:
    table = UserSpend
    columns: _Columns = {
        Measure.REQUESTS: func.sum(table.requests),
        Measure.NANO_USD: func.sum(type_coerce(table.cost_usd, BigInteger)),
    }
    for span in grid.spans(table):
        chosen = select(table.bucket_start, *columns.values()).where(span, of_users(scope, table.user_id))
        yield list(columns), chosen.group_by(table.bucket_start)


def _scores(grid: _Grid, condition: ColumnElement[bool]) -> _Statements:
    table = QualityRollup
    columns: _Columns = {
        Measure.SCORES: func.sum(table.scores),
        Measure.SCORE_MILLIONTHS: func.sum(table.score_sum),
    }
    for span in grid.whole_hours():
        chosen = select(table.bucket_start, *columns.values()).where(span, condition)
        yield list(columns), chosen.group_by(table.bucket_start)


async def _add_rows(
    session: ReadSession, figures: SideFigures, grid: _Grid, statements: _Statements
) -> defaultdict[int, list[str]]:
    """Add the rows to the sums; return their histograms, if they have any, by block."""
    histograms: defaultdict[int, list[str]] = defaultdict(list)
    for measures, statement in statements:
        for moment, *values in await session.execute(statement):
            block = grid.block_of(moment)
            for measure, value in zip(measures, values, strict=False):
                figures.sums[measure, block] += int(value)
            histograms[block] += values[len(measures) :]
    return histograms
