"""Loads requests by slot, deployment and tier, and by slot and user."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, Integer, String, and_, case, cast, func, select, type_coerce

from context_builder.exploration.series.signal import Floats
from context_builder.exploration.series.timeline import FINE_SLOT, Timeline
from context_builder.question.request import ContextRequest
from context_builder.telemetry.rollups import concatenated_histograms, in_window, rollup_scope
from context_builder.telemetry.user_scope import of_users
from models import FAILED_STATUSES, Deployment, RequestRollup, RequestStatus, Resolution, User, UserSpend
from models.database import ReadSession
from models.histogram import log_moments
from models.tables.schema import NANO

Indices = npt.NDArray[np.int64]
Row = tuple[Any, ...]
"""Slot, values of the dimensions, figures."""

MAX_USERS = 12
"""Users whose traffic is explored, the busiest in the window."""
_SLOT_PREFIX = len("2026-11-20 09:3")
"""Length of the prefix of a time stored in SQLite that is equal within a FINE_SLOT."""


@dataclass(frozen=True)
class Cells:
    """Counts by slot and values of one or two dimensions; all arrays have one element per cell."""

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

    def by_slot(self, values: Floats, chosen: npt.NDArray[np.bool_] | None = None) -> Floats:
        """Return the sums of the chosen cells by slot."""
        slots = self.timeline.slots
        if chosen is not None:
            return np.bincount(self.slot[chosen], weights=values[chosen], minlength=slots).astype(float)
        return np.bincount(self.slot, weights=values, minlength=slots).astype(float)


async def read_traffic(session: ReadSession, request: ContextRequest, timeline: Timeline) -> Cells:
    """Load the cells by deployment and tier."""
    scope = await rollup_scope(session, request)
    answered = case((RequestRollup.status == RequestStatus.SUCCESS, 1), else_=0)
    rows: list[Row] = []
    for resolution, span in _spans(timeline, RequestRollup):
        slot = _slot(session, resolution, RequestRollup)
        found = await session.execute(
            select(
                slot, Deployment.public_id, RequestRollup.tier, answered,
                func.sum(RequestRollup.requests),
                func.sum(case((RequestRollup.status.in_(FAILED_STATUSES), RequestRollup.requests), else_=0)),
                cast(func.sum(type_coerce(RequestRollup.cost_usd, Integer)), String),
                concatenated_histograms(session),
            )
            .join(Deployment, Deployment.id == RequestRollup.deployment_id)
            .where(span, scope.condition)
            .group_by(slot, Deployment.public_id, RequestRollup.tier, answered)
        )  # fmt: skip
        rows += map(tuple, found)
    # A month of many deployments has tens of thousands of histograms.
    return await asyncio.to_thread(_traffic_cells, timeline, rows)


async def read_users(session: ReadSession, request: ContextRequest, timeline: Timeline) -> Cells | None:
    """Load the cells of the busiest users; None with deployments in scope, which user totals lack."""
    if request.scope.deployment_ids:
        return None
    busiest = (
        select(UserSpend.user_id)
        .join(User, User.id == UserSpend.user_id)
        .where(
            in_window(UserSpend, request.window),
            of_users(request.scope, UserSpend.user_id),
            *tier_conditions(request),
        )
        .group_by(UserSpend.user_id)
        .order_by(func.sum(UserSpend.requests).desc(), UserSpend.user_id)
        .limit(MAX_USERS)
    )
    chosen = list(await session.scalars(busiest))
    rows: list[Row] = []
    for resolution, span in _spans(timeline, UserSpend):
        slot = _slot(session, resolution, UserSpend)
        found = await session.execute(
            select(
                slot, User.public_id, func.sum(UserSpend.requests),
                cast(func.sum(type_coerce(UserSpend.cost_usd, Integer)), String),
            )
            .join(User, User.id == UserSpend.user_id)
            .where(span, UserSpend.user_id.in_(chosen))
            .group_by(slot, User.public_id)
        )  # fmt: skip
        rows += map(tuple, found)
    return await asyncio.to_thread(_user_cells, timeline, rows)


def tier_conditions(request: ContextRequest) -> list[ColumnElement[bool]]:
    """Return the conditions that users have a tier in scope, if their tier at `as_of` is known."""
    scope = request.scope
    if not scope.tiers or scope.user_ids:
        return []
    return [User.tier.in_(scope.tiers), User.updated_at <= request.as_of]


def _traffic_cells(timeline: Timeline, unordered: Sequence[Row]) -> Cells:
    rows = sorted(((_start(row[0]), *row[1:]) for row in unordered), key=lambda row: row[:4])
    deployments, deployment = _indexed([row[1] for row in rows])
    tiers, tier = _indexed([row[2] for row in rows])
    # Latencies of answered requests only: failed requests may fail fast.
    moments = log_moments([bytes.fromhex(row[7]) if row[3] else b"" for row in rows])
    return Cells(
        timeline,
        {"deployment": deployments, "tier": tiers},
        np.array([timeline.slot_of(row[0]) for row in rows], dtype=np.int64),
        {"deployment": deployment, "tier": tier},
        np.array([float(row[4]) for row in rows]),
        np.array([float(row[5]) for row in rows]),
        np.array([float(row[6]) / float(NANO) for row in rows]),
        timed=moments[:, 0],
        log_sum=moments[:, 1],
        log_square_sum=moments[:, 2],
    )


def _user_cells(timeline: Timeline, unordered: Sequence[Row]) -> Cells:
    rows = sorted(((_start(row[0]), *row[1:]) for row in unordered), key=lambda row: row[:2])
    users, user = _indexed([row[1] for row in rows])
    return Cells(
        timeline,
        {"user": users},
        np.array([timeline.slot_of(row[0]) for row in rows], dtype=np.int64),
        {"user": user},
        np.array([float(row[2]) for row in rows]),
        np.zeros(len(rows)),
        np.array([float(row[3]) / float(NANO) for row in rows]),
    )


def _indexed(values: Sequence[str]) -> tuple[list[str], Indices]:
    names = sorted(set(values))
    places = {name: place for place, name in enumerate(names)}
    return names, np.array([places[value] for value in values], dtype=np.int64)


def _spans(
    timeline: Timeline, table: type[RequestRollup | UserSpend]
) -> list[tuple[Resolution, ColumnElement[bool]]]:
    """Return the condition of each resolution: hours first, minutes in the fine part."""
    return [
        (
            resolution,
            and_(table.resolution == resolution, table.bucket_start >= start, table.bucket_start < end),
        )
        for resolution, start, end in (
            (Resolution.HOUR, timeline.start, timeline.fine_start),
            (Resolution.MINUTE, timeline.fine_start, timeline.end),
        )
        if start < end
    ]


def _slot(
    session: ReadSession, resolution: Resolution, table: type[RequestRollup | UserSpend]
) -> ColumnElement[Any]:
    """Return the slot of a bucket as an expression to group by."""
    if resolution is Resolution.HOUR:
        return type_coerce(table.bucket_start, table.bucket_start.type)
    if session.get_bind().dialect.name == "sqlite":
        return func.substr(type_coerce(table.bucket_start, String), 1, _SLOT_PREFIX)
    return func.date_bin(FINE_SLOT, table.bucket_start, datetime(2000, 1, 1, tzinfo=UTC))


def _start(slot: datetime | str) -> datetime:
    if isinstance(slot, str):
        return datetime.fromisoformat(f"{slot}0:00").replace(tzinfo=UTC)
    return slot.astimezone(UTC)
