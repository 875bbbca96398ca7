"""Loads hourly quality scores as signals of deployments and task types."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import numpy as np

from context_builder.exploration.series.signal import Distribution, Floats, Noise, Signal
from context_builder.exploration.series.slices import Slice
from context_builder.exploration.series.timeline import Timeline
from context_builder.exploration.series.traffic import Indices, slots_of
from context_builder.question.request import ContextRequest
from context_builder.rollups.rows import Groups, Mask, Rows
from context_builder.rollups.scope import known_scores, rollup_scope
from context_builder.rollups.span import by_hour
from context_builder.rollups.store import Rollups
from context_builder.rollups.table import QUALITY
from models.quality_log import MILLION

MIN_SCORES = 40
"""Per slice."""


def whole_hours(timeline: Timeline) -> Timeline:
    """Return the timeline up to the last whole hour; the current one may have scores of later requests."""
    end = max(timeline.start, timeline.end.replace(minute=0, second=0, microsecond=0))
    return Timeline(timeline.start, end, end)


async def quality_signals(
    rollups: Rollups, request: ContextRequest, timeline: Timeline
) -> list[tuple[Slice, Signal]]:
    """Load the hourly scores of all requests in scope, of each deployment, task type and model."""
    hours = whole_hours(timeline)
    scope = await rollup_scope(rollups, request)
    rows = await rollups.read(QUALITY, *by_hour(timeline.start, hours.end))
    return await asyncio.to_thread(lambda: _signals(hours, scope.of(rows.where(known_scores(rows, request)))))


def _signals(hours: Timeline, rows: Rows) -> list[tuple[Slice, Signal]]:
    slot = slots_of(hours, rows)
    labels = {dimension: rows.labels(dimension) for dimension in ("deployment", "task_type", "model")}
    groups = Groups(slot, *(places for _, places in labels.values()))
    counts, sums, squares = (
        groups.sum(rows[column]) / scale
        for column, scale in (
            ("scores", 1), ("score_sum_millionths", MILLION), ("score_square_sum_millionths", MILLION),
        )
    )  # fmt: skip
    cells = _ScoreCells(slot[groups.first], counts, sums, squares)
    found = [(Slice(), cells)]
    for dimension, (names, places) in labels.items():
        found += [
            (Slice(((dimension, name),)), cells.where(places[groups.first] == place))
            for place, name in enumerate(names)
            if name
        ]
    return [(one, _signal(hours, some)) for one, some in found if some.counts.sum() >= MIN_SCORES]


@dataclass(frozen=True, slots=True)
class _ScoreCells:
    """Scores by hour, deployment and task type."""

    slot: Indices
    counts: Floats
    sums: Floats
    squares: Floats

    def where(self, mask: Mask) -> _ScoreCells:
        return _ScoreCells(self.slot[mask], self.counts[mask], self.sums[mask], self.squares[mask])


def _signal(hours: Timeline, cells: _ScoreCells) -> Signal:
    counts, sums, squares = cells.counts, cells.sums, cells.squares
    several = counts > 1
    freedom = max(1.0, float((counts[several] - 1).sum()))
    variance = float((squares[several] - sums[several] ** 2 / counts[several]).sum()) / freedom
    return Signal.by_slot(
        Noise(Distribution.GAUSSIAN, max(variance, 1e-4) ** 0.5),
        np.bincount(cells.slot, weights=counts, minlength=hours.slots).astype(float),
        np.bincount(cells.slot, weights=sums, minlength=hours.slots).astype(float),
    )
