"""Calm: answers "why is it down?" where it is not: nothing left its usual level, with figures that say so.

Columns: requests, failed requests (%), p50 and p95 latency (ms) of the window, and of the like period before:
the same time one week earlier (or as many weeks as the window is long), so that a weekend stands beside a
weekend. Empty where something changed.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from context_builder.exploration.change_text import ANY_CHANGE, scope_name
from context_builder.question.request import ContextRequest, Interval, Side, Wording
from context_builder.source import ContextSource, Fact, Headline, Role, Section, Shown, Status, Stores
from context_builder.telemetry.side_figures import Measure, SideFigures, load_sides
from context_builder.text.formatting import (
    format_count,
    format_milliseconds,
    format_percent,
    format_time,
)

WEEK = timedelta(days=7)
_IMPORTANCE = 0.85
"""Below that of what is down without a change of any metric, such as a site in maintenance."""


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Return one fact if nothing changed although there were requests."""
    findings = await stores.exploration.findings(request)
    if findings.shifts or not findings.has_traffic:
        return Section("not calm: see changes", status=Status.EMPTY, applies=False)
    now = Interval(request.window.start, request.window.end)
    weeks = -(-request.window.length // WEEK)
    earlier = weeks * WEEK
    like = Interval(now.start - earlier, now.end - earlier)
    sides = (Side("now", (now,), request.scope), Side("like", (like,), request.scope))
    found = await load_sides(stores.rollups, replace(request, sides=sides))
    told, before = await asyncio.to_thread(lambda: [_figures(side) for side in found.sides])
    but = "but for other traffic, " if findings.harmless else ""
    head = f"{but}no metric of {scope_name(request)} left its usual level: {told}"
    then = f"{format_count(weeks, 'week')} earlier, {format_time(like.start)} to {format_time(like.end)}"
    headline = Headline(text=head, role=Role.CHANGE, alarm=False)
    fact = Fact(f"{head}; {then}: {before}", "", _IMPORTANCE, kind="findings", headline=headline)
    return Section("latency, failures, volume, cost and quality as usual", (fact,), gaps=found.gaps)


def _figures(side: SideFigures) -> str:
    """Return requests, failures and latency, as far as they are known of this side."""
    requests, failed = side.total(Measure.REQUESTS), side.total(Measure.FAILED)
    told = format_count(requests, "request") if requests else "no requests recorded"
    if side.of_users or not requests:
        return told
    told += f", {failed:,} failed ({format_percent(failed, requests)})"
    p50, p95 = (side.latency.quantile(quantile) for quantile in (0.5, 0.95))
    if p50 is None or p95 is None:
        return told
    return f"{told}, p50 {format_milliseconds(p50)}, p95 {format_milliseconds(p95)}"


source = ContextSource(
    "calm", "CA", ANY_CHANGE, 4.0, read, asks=frozenset({Wording.TOPICS}), shows_to_confined=Shown.NOTHING
)
