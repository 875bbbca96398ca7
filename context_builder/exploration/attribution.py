"""Attributes a change to its drivers: by the dimensions of requests, by error code and by user."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from context_builder.exploration.breakdown import (
    ComparedSpans,
    LatencyHistograms,
    code_breakdown,
    error_breakdown,
    latency_breakdown,
    quality_breakdown,
    total_breakdown,
    user_breakdown,
)
from context_builder.exploration.change_point import ChangePoint
from context_builder.exploration.drivers import Breakdown, Driver, find_drivers
from context_builder.exploration.requests.user_sample import MAX_REQUESTS as MAX_SAMPLED
from context_builder.exploration.requests.user_sample import user_error_breakdown, user_volume_breakdown
from context_builder.exploration.series.metric import Metric
from context_builder.exploration.series.quality import MIN_SCORES
from context_builder.exploration.series.signal import SignalLevel
from context_builder.exploration.series.slices import Slice
from context_builder.question.request import ContextRequest
from context_builder.rollups.store import Rollups

MIN_USER_SHARE = 0.35
"""Minimum share of a change for a user to be a driver."""
MIN_USER_CONCENTRATION = 0.25
"""By how much that share must exceed the user's part of the traffic: who sends most also fails most."""


MIN_GAIN = 0.3
"""Of a rate: the part of what an even spread leaves open that a slice must have. A task whose requests are
long always has a little more."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """A change and its drivers in one set of dimensions."""

    shift: ChangePoint
    drivers: tuple[Driver, ...]
    breakdown: Breakdown
    latencies: LatencyHistograms | None = None
    note: str = ""
    """Restriction of its figures, such as a sample."""
    is_main: bool = False
    """True if its dimensions are those of every request."""
    within: Slice | None = None
    """The slice that was broken down; None: everything in scope."""

    @property
    def everything(self) -> Driver:
        """The whole breakdown, as one driver."""
        parts = self.breakdown
        after = SignalLevel(float(parts.weight.sum()), float(parts.mass.sum()))
        before = SignalLevel(float(parts.past_weight.sum()), float(parts.past_mass.sum()))
        return Driver(Slice(), 1.0, 1.0, 0.0, after, before, tuple(range(len(parts.weight))))


async def attribute_change(
    rollups: Rollups,
    request: ContextRequest,
    shift: ChangePoint,
    lookback: timedelta,
    without: Sequence[Slice] = (),
) -> list[Attribution]:
    """Attribute a change by each set of dimensions, against a baseline of `lookback` before the window.

    `without` are drivers of other changes of the metric; if nothing is left without them, so is no change.
    """
    parts = await _attributions(rollups, request, shift, ComparedSpans.of(shift, request, lookback), without)
    main = [part for part in parts if part.is_main]
    return [] if without and main and not any(part.drivers for part in main) else parts


async def _attributions(
    rollups: Rollups,
    request: ContextRequest,
    shift: ChangePoint,
    spans: ComparedSpans,
    without: Sequence[Slice],
) -> list[Attribution]:
    if shift.metric is Metric.LATENCY:
        breakdown, latencies = await latency_breakdown(rollups, request, spans)
        return [await _attribution(shift, breakdown, without, latencies=latencies)]
    if shift.metric is Metric.QUALITY:
        return [await _attribution(shift, await quality_breakdown(rollups, request, spans), without)]
    if shift.metric is Metric.ERRORS:
        return await _error_attributions(rollups, request, shift, spans, without)
    return await _total_attributions(rollups, request, shift, spans, without)


async def _error_attributions(
    rollups: Rollups,
    request: ContextRequest,
    shift: ChangePoint,
    spans: ComparedSpans,
    without: Sequence[Slice],
) -> list[Attribution]:
    """Attribute by the dimensions of requests; within the slice of the change by error code and user.

    If one user's requests fail, it is by no other dimension: what they ask for fails as often as they ask it.
    """
    within = _narrow_to_slice(rollups, request, shift)
    parts = [await _attribution(shift, await code_breakdown(rollups, within, spans), within=shift.slice)]
    if shift.slice.value_of("user") is None:
        parts.insert(0, await _attribution(shift, await error_breakdown(rollups, request, spans), without))
    if not _has_single_user(request):
        async with rollups.snapshot.session() as session:
            users, complete = await user_error_breakdown(session, within, spans, shift)
        parts.append(await _attribution(shift, users, note=_sample_note(complete), within=shift.slice))
    return parts


async def _total_attributions(
    rollups: Rollups,
    request: ContextRequest,
    shift: ChangePoint,
    spans: ComparedSpans,
    without: Sequence[Slice],
) -> list[Attribution]:
    """Attribute by user unless there is only one, then by the dimensions of requests, if not of one user."""
    parts = []
    if shift.slice.value_of("user") is None:
        breakdown = await total_breakdown(rollups, request, spans, shift)
        parts.append(await _attribution(shift, breakdown, without))
    if _has_single_user(request):
        return parts
    if not request.scope.deployment_ids:
        users = await user_breakdown(rollups, request, spans, shift)
        parts.insert(0, await _attribution(shift, users, without))
    elif shift.metric is Metric.VOLUME:
        async with rollups.snapshot.session() as session:
            users, complete = await user_volume_breakdown(session, request, spans)
        parts.insert(0, await _attribution(shift, users, without, note=_sample_note(complete)))
    return parts


def _has_single_user(request: ContextRequest) -> bool:
    return len(request.scope.user_ids) == 1 and not request.scope.tiers


def _narrow_to_slice(rollups: Rollups, request: ContextRequest, shift: ChangePoint) -> ContextRequest:
    """Return the request, narrowed to the slice of a change."""
    deployment, tier = shift.slice.value_of("deployment"), shift.slice.value_of("tier")
    scope = request.scope
    if deployment is not None:
        found = tuple(
            number for number, one in rollups.names.deployments.items() if one.deployment == deployment
        )
        scope = replace(scope, deployment_ids=found or scope.deployment_ids)
    if tier is not None and not scope.user_ids:
        scope = replace(scope, tiers=(tier,))
    return replace(request, scope=scope)


def _sample_note(complete: bool) -> str:
    return "" if complete else f"; of the newest {MAX_SAMPLED:,} requests"


async def _attribution(
    shift: ChangePoint,
    breakdown: Breakdown,
    without: Sequence[Slice] = (),
    *,
    latencies: LatencyHistograms | None = None,
    note: str = "",
    within: Slice | None = None,
) -> Attribution:
    # The breakdown of quality is of missing score, which rises when scores fall.
    rose = shift.rose != (shift.metric is Metric.QUALITY)
    drivers = await asyncio.to_thread(find_drivers, breakdown, rose=rose, without=without)
    if shift.metric is Metric.QUALITY:  # few scores vary widely
        drivers = [driver for driver in drivers if driver.after.weight >= MIN_SCORES]
    if "user" in breakdown.values:
        drivers = [
            driver
            for driver in drivers
            if driver.share >= MIN_USER_SHARE and driver.concentration >= MIN_USER_CONCENTRATION
        ]
    is_main = "deployment" in breakdown.values
    if is_main and breakdown.exposure is None:
        drivers = [driver for driver in drivers if driver.gain >= MIN_GAIN]
    return Attribution(shift, tuple(drivers), breakdown, latencies, note, is_main, within)
