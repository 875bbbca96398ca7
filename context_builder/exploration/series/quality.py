"""Loads hourly quality scores as signals of deployments and task types."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import func, select

from context_builder.exploration.series.signal import Distribution, Noise, Signal
from context_builder.exploration.series.slices import Slice
from context_builder.exploration.series.timeline import Timeline
from context_builder.question.request import ContextRequest
from context_builder.telemetry.rollups import rollup_scope, scored_by
from models import Deployment, QualityRollup
from models.database import ReadSession
from models.quality_log import MILLION

QualityRow = tuple[Any, ...]
"""Hour, deployment, task type; number of scores, their sum and sum of squares."""

MIN_SCORES = 40
"""Per slice."""


def whole_hours(timeline: Timeline) -> Timeline:
    """Return the timeline up to the last whole hour; the current one may have scores of later requests."""
    end = max(timeline.start, timeline.end.replace(minute=0, second=0, microsecond=0))
    return Timeline(timeline.start, end, end)


async def quality_signals(
    session: ReadSession, request: ContextRequest, timeline: Timeline
) -> list[tuple[Slice, Signal]]:
    """Load the hourly scores of all requests in scope, of each deployment and of each task type."""
    hours = whole_hours(timeline)
    scope = await rollup_scope(session, request, QualityRollup)
    rows = await session.execute(
        select(
            QualityRollup.bucket_start, Deployment.public_id, QualityRollup.task_type,
            func.sum(QualityRollup.scores), func.sum(QualityRollup.score_sum),
            func.sum(QualityRollup.score_square_sum),
        )
        .join(Deployment, Deployment.id == QualityRollup.deployment_id)
        .where(
            QualityRollup.bucket_start >= timeline.start,
            QualityRollup.bucket_start < hours.end,
            scored_by(request.as_of, is_now=request.is_now),
            scope.condition,
        )
        .group_by(QualityRollup.bucket_start, Deployment.public_id, QualityRollup.task_type)
    )  # fmt: skip
    return await asyncio.to_thread(_signals, hours, sorted(tuple(row) for row in rows))


def _signals(hours: Timeline, cells: Sequence[QualityRow]) -> list[tuple[Slice, Signal]]:
    found: list[tuple[Slice, Sequence[QualityRow]]] = [(Slice(), cells)]
    for column, dimension in ((1, "deployment"), (2, "task_type")):
        found += [
            (Slice(((dimension, name),)), [cell for cell in cells if cell[column] == name])
            for name in sorted({cell[column] for cell in cells} - {""})
        ]
    return [
        (one, _signal(hours, members)) for one, members in found
        if sum(int(cell[3]) for cell in members) >= MIN_SCORES
    ]  # fmt: skip


def _signal(hours: Timeline, cells: Sequence[QualityRow]) -> Signal:
    slot = np.array([hours.slot_of(cell[0]) for cell in cells])
    counts, sums, squares = (
        np.array([float(cell[column]) for cell in cells]) / scale
        for column, scale in ((3, 1), (4, MILLION), (5, MILLION))
    )
    several = counts > 1
    freedom = max(1.0, float((counts[several] - 1).sum()))
    variance = float((squares[several] - sums[several] ** 2 / counts[several]).sum()) / freedom
    return Signal.by_slot(
        Noise(Distribution.GAUSSIAN, max(variance, 1e-4) ** 0.5),
        np.bincount(slot, weights=counts, minlength=hours.slots).astype(float),
        np.bincount(slot, weights=sums, minlength=hours.slots).astype(float),
    )
