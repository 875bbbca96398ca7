"""Takes a shift apart: by all dimensions of requests, and by error codes and users."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from context_builder.exploration.attribution import Breakdown, Driver, attribute
from context_builder.exploration.breakdown import (
    Latencies,
    Spans,
    code_breakdown,
    error_breakdown,
    latency_breakdown,
    quality_breakdown,
    total_breakdown,
    user_breakdown,
)
from context_builder.exploration.metric import Metric
from context_builder.exploration.shift import Shift
from context_builder.exploration.signal import Level
from context_builder.exploration.slices import Slice
from context_builder.exploration.user_sample import MOST as MOST_SAMPLED
from context_builder.exploration.user_sample import error_users, volume_users
from context_builder.request import ContextRequest
from models.database import ReadSession


@dataclass(frozen=True, slots=True)
class Explained:
    """A shift, and what carries it."""

    shift: Shift
    drivers: tuple[Driver, ...]
    breakdown: Breakdown
    latencies: Latencies | None = None
    note: str = ""
    """What its figures are of, where that is not everything."""
    is_main: bool = False
    """Whether its dimensions are those that every request has."""

    @property
    def everything(self) -> Driver:
        """All that the shift was found in, as one slice."""
        parts = self.breakdown
        after = Level(float(parts.weight.sum()), float(parts.mass.sum()))
        before = Level(float(parts.past_weight.sum()), float(parts.past_mass.sum()))
        return Driver(Slice(), 1.0, 1.0, 0.0, after, before, tuple(range(len(parts.weight))))


async def explained(
    session: ReadSession, request: ContextRequest, shift: Shift, lookback: timedelta
) -> list[Explained]:
    """What carries the shift, by each set of dimensions; compared with so much before the window."""
    spans = Spans.of(shift, request, lookback)
    one_user = len(request.scope.user_ids) == 1 and not request.scope.tiers
    if shift.metric is Metric.LATENCY:
        breakdown, latencies = await latency_breakdown(session, request, spans)
        return [await _attributed(shift, breakdown, latencies=latencies)]
    if shift.metric is Metric.QUALITY:
        return [await _attributed(shift, await quality_breakdown(session, request, spans))]
    if shift.metric is Metric.ERRORS:
        parts = [
            await _attributed(shift, await error_breakdown(session, request, spans)),
            await _attributed(shift, await code_breakdown(session, request, spans)),
        ]
        if not one_user:
            users, complete = await error_users(session, request, spans, shift)
            parts.append(await _attributed(shift, users, note=_sampled(complete)))
        return parts
    parts = [await _attributed(shift, await total_breakdown(session, request, spans, shift))]
    if one_user:
        return parts
    if not request.scope.deployment_ids:
        users = await user_breakdown(session, request, spans, shift)
        parts.insert(0, await _attributed(shift, users))
    elif shift.metric is Metric.VOLUME:
        users, complete = await volume_users(session, request, spans)
        parts.insert(0, await _attributed(shift, users, note=_sampled(complete)))
    return parts


def _sampled(complete: bool) -> str:
    return "" if complete else f"; of the newest {MOST_SAMPLED:,} requests"


async def _attributed(
    shift: Shift, breakdown: Breakdown, *, latencies: Latencies | None = None, note: str = ""
) -> Explained:
    # Lower scores are a larger loss, which is what is taken apart.
    rose = shift.rose != (shift.metric is Metric.QUALITY)
    drivers = await asyncio.to_thread(attribute, breakdown, rose=rose)
    is_main = "deployment" in breakdown.values
    return Explained(shift, tuple(drivers), breakdown, latencies, note, is_main)
