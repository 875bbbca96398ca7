"""Loads requests by slot and dimension, and by slot and user."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, select

from context_builder.exploration.series.signal import Floats
from context_builder.exploration.series.timeline import HOUR, Timeline
from context_builder.question.request import ContextRequest, Window
from context_builder.rollups.rows import Groups, Rows, labels_of
from context_builder.rollups.scope import rollup_scope, users_in_scope
from context_builder.rollups.span import Span, by_ten_minutes, minute_of
from context_builder.rollups.store import Rollups
from context_builder.rollups.table import REQUESTS, SPEND
from models import FAILED_STATUSES, RequestStatus, Resolution, User
from models.histogram import LOG_SCALE
from models.tables.schema import NANO

Indices = npt.NDArray[np.int64]

MAX_USERS = 12
"""Users whose traffic is explored, the busiest."""
_RECENT = timedelta(days=7)
_DIMENSIONS = ("deployment", "tier", "model", "backend", "region")
"""Model, backend and region are those of the deployment."""
_USERS_AT_ONCE = 500
"""Of the busiest, whose tiers are looked up together."""


@dataclass(frozen=True)
class Cells:
    """Counts by slot and values of some dimensions; all arrays have one element per cell."""

    timeline: Timeline
    names: dict[str, list[str]]
    """Values by dimension."""
    slot: Indices
    value: dict[str, Indices]
    """Index of each cell's value in `names`, by dimension."""
    requests: Floats
    failed: Floats
    cost_usd: Floats
    timed: Floats = field(default_factory=lambda: np.zeros(0))
    """Answered requests with a latency; the sums are of natural logarithms of milliseconds."""
    log_sum: Floats = field(default_factory=lambda: np.zeros(0))
    log_square_sum: Floats = field(default_factory=lambda: np.zeros(0))

    def since(self, timeline: Timeline) -> Cells:
        """Return the cells of a timeline that begins later and has the same end."""
        before = self.timeline.slots - timeline.slots
        kept = self.slot >= before
        return replace(
            self,
            timeline=timeline,
            slot=self.slot[kept] - before,
            value={dimension: places[kept] for dimension, places in self.value.items()},
            requests=self.requests[kept],
            failed=self.failed[kept],
            cost_usd=self.cost_usd[kept],
            timed=self.timed[kept] if len(self.timed) else self.timed,
            log_sum=self.log_sum[kept] if len(self.timed) else self.log_sum,
            log_square_sum=self.log_square_sum[kept] if len(self.timed) else self.log_square_sum,
        )

    def by_slot(self, values: Floats, chosen: npt.NDArray[np.bool_] | None = None) -> Floats:
        """Return the sums of the chosen cells by slot."""
        slots = self.timeline.slots
        if chosen is not None:
            return np.bincount(self.slot[chosen], weights=values[chosen], minlength=slots).astype(float)
        return np.bincount(self.slot, weights=values, minlength=slots).astype(float)


async def read_traffic(rollups: Rollups, request: ContextRequest, timeline: Timeline) -> Cells:
    """Load the cells by the dimensions of deployments, and by tier."""
    scope = await rollup_scope(rollups, request)
    rows = await rollups.read(REQUESTS, *_spans(timeline))
    # A month of many deployments has tens of thousands of rows.
    return await asyncio.to_thread(lambda: _traffic_cells(timeline, scope.of(rows)))


async def read_users(rollups: Rollups, request: ContextRequest, timeline: Timeline) -> Cells | None:
    """Load the cells of the busiest users; None with deployments in scope, which user totals lack."""
    if request.scope.deployment_ids:
        return None
    rows = await rollups.read(SPEND, *_spans(timeline))
    rows = rows.where(users_in_scope(request.scope, rows))
    ranked = await asyncio.to_thread(_busiest, rows, request.window)
    chosen = await _with_tier_in_scope(rollups, request, ranked)
    return await asyncio.to_thread(_user_cells, timeline, rows, chosen)


def tier_conditions(request: ContextRequest) -> list[ColumnElement[bool]]:
    """Return the conditions that users have a tier in scope, if their tier at `as_of` is known."""
    scope = request.scope
    if not scope.tiers or scope.user_ids:
        return []
    return [User.tier.in_(scope.tiers), User.updated_at <= request.as_of]


def _busiest(rows: Rows, window: Window) -> list[int]:
    """Return users by their requests an hour, in the window or in the days before it, the busiest first.

    Those who stopped before the window have none in it.
    """
    start, recent = minute_of(window.start), minute_of(window.start - _RECENT)
    users = Groups(rows["user_id"])
    number, in_window = rows["user_id"][users.first], rows["start"] >= start
    spans = (
        (in_window, (window.end - window.start) / HOUR),
        (~in_window & (rows["start"] >= recent), _RECENT / HOUR),
    )
    rate = np.max([users.sum(rows["requests"] * chosen) / max(hours, 1.0) for chosen, hours in spans], axis=0)
    return [int(user) for user in number[np.lexsort((number, -rate))]]


async def _with_tier_in_scope(rollups: Rollups, request: ContextRequest, ranked: list[int]) -> dict[int, str]:
    """Return the names of the first MAX_USERS whose tier is in scope, by id."""
    chosen: dict[int, str] = {}
    async with rollups.snapshot.session() as session:
        while ranked and len(chosen) < MAX_USERS:
            some, ranked = ranked[:_USERS_AT_ONCE], ranked[_USERS_AT_ONCE:]
            found = await session.execute(
                select(User.id, User.public_id).where(User.id.in_(some), *tier_conditions(request))
            )
            names = {row.id: row.public_id for row in found}
            wanted = [number for number in some if number in names]
            chosen |= {number: names[number] for number in wanted[: MAX_USERS - len(chosen)]}
    return chosen


def _traffic_cells(timeline: Timeline, rows: Rows) -> Cells:
    slot = slots_of(timeline, rows)
    labels = {dimension: rows.labels(dimension) for dimension in _DIMENSIONS}
    deployment, tier = labels["deployment"][1], labels["tier"][1]
    # Latencies of answered requests only: failed requests may fail fast.
    answered = rows.having("status", (RequestStatus.SUCCESS,))
    failed = rows.having("status", FAILED_STATUSES)
    cells = Groups(slot, deployment, tier, answered)

    def logs(column: str) -> Floats:
        return cells.sum(rows[column] * answered) / LOG_SCALE

    return Cells(
        timeline,
        {dimension: names for dimension, (names, _) in labels.items()},
        slot[cells.first],
        {dimension: places[cells.first] for dimension, (_, places) in labels.items()},
        cells.sum(rows["requests"]).astype(float),
        cells.sum(rows["requests"] * failed).astype(float),
        cells.sum(rows["cost_nanousd"]) / float(NANO),
        timed=cells.sum(rows["timed"] * answered).astype(float),
        log_sum=logs("log_sum"),
        log_square_sum=logs("log_square_sum"),
    )


def _user_cells(timeline: Timeline, rows: Rows, chosen: dict[int, str]) -> Cells:
    rows = rows.where(np.isin(rows["user_id"], list(chosen)))
    slot = slots_of(timeline, rows)
    users, user = labels_of(rows["user_id"], chosen.__getitem__)
    cells = Groups(slot, user)
    return Cells(
        timeline,
        {"user": users},
        slot[cells.first],
        {"user": user[cells.first]},
        cells.sum(rows["requests"]).astype(float),
        cells.sum(rows["failed"]).astype(float),
        cells.sum(rows["cost_nanousd"]) / float(NANO),
    )


def _spans(timeline: Timeline) -> list[Span]:
    """Return hours, then ten minutes in the fine part."""
    hours = [Span(Resolution.HOUR, timeline.start, timeline.fine_start)]
    fine = Window(timeline.fine_start, timeline.end)
    return [*(hours if timeline.start < timeline.fine_start else ()), *by_ten_minutes(fine)]


def slots_of(timeline: Timeline, rows: Rows) -> Indices:
    """Return the slot of each row."""
    starts = np.array([minute_of(start) for start in timeline.starts], dtype=np.int64)
    return np.searchsorted(starts, rows["start"], side="right") - 1
