"""What is beside a change: the same elsewhere, and where traffic went."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp

import numpy as np

from context_builder.exploration.breakdown import ComparedSpans, expected_rows
from context_builder.exploration.change_point import ChangePoint
from context_builder.exploration.series.metric import Metric
from context_builder.exploration.series.signal import Floats
from context_builder.exploration.series.slices import Slice
from context_builder.question.request import ContextRequest
from context_builder.rollups.rows import Mask, Rows
from context_builder.rollups.scope import rollup_scope
from context_builder.rollups.span import covering
from context_builder.rollups.store import Rollups
from context_builder.rollups.table import REQUESTS
from context_builder.text.formatting import format_name
from models import FAILED_STATUSES, RequestStatus
from models.histogram import LOG_SCALE

MIN_DIVERTED_SHARE = 0.2
"""Of what a slice lost, or got more: the least that another must have got, or lost."""
_KNOWN = ("deployment", "model", "backend", "region", "tier", "task_type")
_WITH_OTHERS = ("model", "backend", "region", "tier")
_MIN_REQUESTS = 20
"""On either side of a comparison."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The same metric beside a change, after and before its onset."""

    name: str
    after: float
    before: float


@dataclass(frozen=True, slots=True)
class Diverted:
    """Requests that another deployment got more, or fewer, than expected meanwhile."""

    deployment: str
    excess: float


@dataclass(frozen=True, slots=True)
class Surroundings:
    """All that is beside one change."""

    neighbours: tuple[Neighbour, ...] = ()
    diverted: tuple[Diverted, ...] = ()


async def surroundings_of(
    rollups: Rollups, request: ContextRequest, shift: ChangePoint, one: Slice, spans: ComparedSpans
) -> Surroundings:
    """Compare a slice whose metric changed with what is beside it; nothing of users, of costs and scores."""
    if shift.metric in (Metric.QUALITY, Metric.COST) or any(
        dimension not in _KNOWN for dimension, _ in one.values
    ):
        return Surroundings()
    if shift.metric is Metric.VOLUME and not shift.comparable:
        return Surroundings()
    if shift.metric is Metric.VOLUME:
        rows, times = await expected_rows(rollups, request, spans, shift)
        after = rows.since(spans.after.start)
        return Surroundings(diverted=await asyncio.to_thread(_diverted, rows, times, after, one))
    scope = await rollup_scope(rollups, request)
    rows = scope.of(await rollups.read(REQUESTS, *covering(spans.after), *covering(spans.before)))
    return await asyncio.to_thread(
        lambda: Surroundings(tuple(_neighbours(rows, rows.since(spans.after.start), shift.metric, one)))
    )


def _inside(rows: Rows, one: Slice) -> Mask:
    mask = np.ones(len(rows), dtype=np.bool_)
    for dimension, value in one.values:
        mask &= rows.having(dimension, (value,))
    return mask


def _neighbours(rows: Rows, after: Mask, metric: Metric, one: Slice) -> Iterator[Neighbour]:
    """Yield the level of each group of requests beside a slice that has enough of them."""
    for name, mask in _beside(rows, one, _inside(rows, one)):
        levels = [_level(rows, mask & side, metric) for side in (after, ~after)]
        if None not in levels:
            yield Neighbour(name, *levels)  # type: ignore[arg-type]  # none of them is None


def _beside(rows: Rows, one: Slice, inside: Mask) -> Iterator[tuple[str, Mask]]:
    deployment = one.value_of("deployment")
    if deployment is not None:
        model, _, backend = deployment.partition("/")
        yield (
            f"{format_name(model)} elsewhere",
            rows.having("model", (model,)) & ~rows.having("deployment", (deployment,)),
        )
        yield (
            f"other models on {format_name(backend)}",
            rows.having("backend", (backend,)) & ~rows.having("model", (model,)),
        )
    elif len(one.values) == 1 and (dimension := one.values[0][0]) in _WITH_OTHERS:
        yield f"other {dimension}s", ~inside


def _level(rows: Rows, chosen: Mask, metric: Metric) -> float | None:
    """Return the share of failed requests, or the typical latency in ms; None of too few."""
    rows = rows.where(chosen)
    if metric is Metric.LATENCY:
        answered = rows.having("status", (RequestStatus.SUCCESS,))
        timed = int((rows["timed"] * answered).sum())
        total = float((rows["log_sum"] * answered).sum()) / LOG_SCALE
        return exp(total / timed) if timed >= _MIN_REQUESTS else None
    requests = int(rows["requests"].sum())
    failed = int((rows["requests"] * rows.having("status", FAILED_STATUSES)).sum())
    return failed / requests if requests >= _MIN_REQUESTS else None


def _diverted(rows: Rows, times: Floats, after: Mask, one: Slice) -> tuple[Diverted, ...]:
    """Return the deployments that got more where the slice got fewer, or the other way round, most first."""
    names, places = rows.labels("deployment")
    excess, inside = rows["requests"] * times * np.where(after, 1.0, -1.0), _inside(rows, one)
    moved = float(excess[inside].sum())
    outside = np.bincount(places[~inside], weights=excess[~inside], minlength=len(names))
    against = -np.sign(moved) * outside
    order: Sequence[int] = np.argsort(-against, kind="stable").tolist()
    enough = [place for place in order if against[place] >= MIN_DIVERTED_SHARE * abs(moved) > 0]
    return tuple(Diverted(names[place], float(outside[place])) for place in enough[:2])
