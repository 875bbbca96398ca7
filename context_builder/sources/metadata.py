"""What deployments are: answers "which version serves this model, where, and how near its capacity is it?".

Columns: model, region, version, endpoint, last seen (minutes and hours ago), capacity in requests per minute
with the load of the last hour and of its busiest minute as a share (%), and latency of health checks (ms):
newest and median of the window beside the median of the 7 days before, of at most CHECKS each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median_low

from sqlalchemy import Select, func, select, union_all

from context_builder.question.request import ContextRequest, Topic, Window
from context_builder.question.time_phrases import floor_to_minute
from context_builder.source import ContextSource, Fact, Section, Status, Stores
from context_builder.telemetry.fleet import (
    is_overwritten,
    known_deployments,
    latest_accepted_report,
)
from context_builder.telemetry.rollups import baseline_window
from context_builder.text.formatting import (
    format_count,
    format_duration,
    format_list,
    format_milliseconds,
    format_name,
    format_percent,
    format_ratio,
)
from models import Deployment, HealthCheck, RequestRollup, Resolution
from models.database import ReadSession

MOST = 30
"""Deployments that get a fact of their own, the busiest."""
CHECKS = 100
"""Health checks that are read of each deployment, in the window and before it."""
MIN_CHECKS = 5
"""With fewer answered ones on a side, latencies are not compared."""
NOTABLE = 1.5
"""A median that changed by this factor, either way, is worth an engineer's look."""
NEAR_PERCENT = 80
"""From this share of the capacity on, a deployment is near it."""
_HOUR = timedelta(hours=1)
_LISTED = 20


@dataclass(frozen=True, slots=True)
class Load:
    """Requests of the last hour, and of its busiest minute."""

    requests: int = 0
    peak: int = 0


@dataclass(frozen=True, slots=True)
class Probes:
    """Health checks of one deployment, the newest first; None: no answer."""

    latencies: list[int | None] = field(default_factory=list)

    @property
    def answered(self) -> list[int]:
        """Those that got an answer."""
        return [latency for latency in self.latencies if latency is not None]


async def read(request: ContextRequest, stores: Stores) -> Section:
    """The busiest deployments one by one, the others by name."""
    async with stores.snapshot.session() as session:
        deployments = await known_deployments(session, request)
        if not deployments:
            return Section("no deployments are known", status=Status.EMPTY)
        loads = await _loads(session, [one.id for one in deployments], request)
        ranked = sorted(deployments, key=lambda d: (-_load(loads, d).requests, d.public_id))
        shown = [deployment.id for deployment in ranked[:MOST]]
        now = await _probes(session, shown, request.window)
        before = await _probes(session, shown, baseline_window(request.window))
    facts = [_fact(one, request, _load(loads, one), now[one.id], before[one.id]) for one in ranked[:MOST]]
    if len(ranked) > MOST:
        names = format_list([one.public_id for one in ranked[MOST:]], _LISTED)
        facts.append(Fact(f"{len(ranked) - MOST:,} more deployments: {names}", "", 0.1, kind="deployments"))
    gaps: tuple[str, ...] = ()
    later = [one.public_id for one in deployments if is_overwritten(one, request)]
    if later:
        columns = "version, region, endpoint, capacity and last sign of life"
        gaps = (
            f"{columns} at this moment of {format_list(later, _LISTED)}: the recorded ones are later ones",
        )
    models = {one.model for one in deployments}
    return Section(
        f"{format_count(len(deployments), 'deployment')} of {format_count(len(models), 'model')}",
        tuple(sorted(facts, key=lambda fact: -fact.importance)),
        gaps=gaps,
    )


def _load(loads: dict[int, Load], deployment: Deployment) -> Load:
    return loads.get(deployment.id, Load())


async def _loads(session: ReadSession, ids: Sequence[int], request: ContextRequest) -> dict[int, Load]:
    """The last hour by deployment: of everyone, since capacity is shared by all."""
    end = floor_to_minute(request.as_of)
    minutes = (
        select(
            RequestRollup.deployment_id,
            RequestRollup.bucket_start,
            func.sum(RequestRollup.requests).label("requests"),
        )
        .where(
            RequestRollup.resolution == Resolution.MINUTE,
            RequestRollup.bucket_start >= end - _HOUR,
            RequestRollup.bucket_start < end,
            RequestRollup.deployment_id.in_(ids),
        )
        .group_by(RequestRollup.deployment_id, RequestRollup.bucket_start)
        .subquery()
    )
    rows = await session.execute(
        select(minutes.c.deployment_id, func.sum(minutes.c.requests), func.max(minutes.c.requests)).group_by(
            minutes.c.deployment_id
        )
    )
    return {row[0]: Load(int(row[1]), int(row[2])) for row in rows}


async def _probes(session: ReadSession, ids: Sequence[int], window: Window) -> defaultdict[int, Probes]:
    """The newest health checks of each deployment, each by its own range of the index."""
    parts = [select(_newest(number, window).subquery()) for number in ids]
    rows = await session.execute(union_all(*parts))
    found: defaultdict[int, Probes] = defaultdict(Probes)
    for row in sorted(rows, key=lambda row: (row.checked_at, row.id), reverse=True):
        found[row.deployment_id].latencies.append(row.latency_ms)
    return found


def _newest(number: int, window: Window) -> Select[int, int, datetime, int | None]:
    return (
        select(HealthCheck.deployment_id, HealthCheck.id, HealthCheck.checked_at, HealthCheck.latency_ms)
        .where(
            HealthCheck.deployment_id == number,
            HealthCheck.checked_at >= window.start,
            HealthCheck.checked_at < window.end,
        )
        .order_by(HealthCheck.checked_at.desc(), HealthCheck.id.desc())
        .limit(CHECKS)
    )


def _fact(deployment: Deployment, request: ContextRequest, load: Load, now: Probes, before: Probes) -> Fact:
    name = f"{format_name(deployment.public_id)}: model {format_name(deployment.model)}"
    known = not is_overwritten(deployment, request)
    parts = [name, *(_recorded(deployment, request) if known else ())]
    capacity = deployment.capacity_rpm if known else None
    parts.append(_used(load, capacity))
    importance = 0.4
    if capacity and load.peak * 100 >= capacity * NEAR_PERCENT:
        importance = 0.9 if load.requests * 100 >= 60 * capacity * NEAR_PERCENT else 0.75
    if now.latencies:
        parts.append(_health_checks(now, before))
        importance = max(importance, 0.7 if _has_changed(now, before) else 0)
    version = f", version {format_name(deployment.version)}" if known and deployment.version else ""
    return Fact("; ".join(parts), f"{name}{version}; {_used(load, capacity)}", importance, kind="deployments")


def _recorded(deployment: Deployment, request: ContextRequest) -> Iterator[str]:
    """What its row says of it."""
    for noun, value in (("version", deployment.version), ("region", deployment.region)):
        if value:
            yield f"{noun} {format_name(value)}"
    if deployment.endpoint:
        yield f"endpoint {format_name(_address(deployment.endpoint))}"
    seen = deployment.last_seen_at
    if seen is not None and seen <= latest_accepted_report(request):
        yield f"last seen {format_duration(request.as_of - seen)} ago"


def _address(endpoint: str) -> str:
    """An endpoint without user, password and parameters, which may be secrets."""
    plain = endpoint.partition("?")[0].partition("#")[0]
    scheme, separator, rest = plain.rpartition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def _used(load: Load, capacity: int | None) -> str:
    hour = format_count(load.requests, "request")
    text = f"{hour} in the last hour, {load.requests / 60:,.1f} a minute, {load.peak:,} in the busiest"
    if not capacity:
        return text
    share, peak = format_percent(load.requests, 60 * capacity), format_percent(load.peak, capacity)
    return f"{text}; {share} and {peak} of its capacity of {capacity:,} requests per minute"


def _health_checks(now: Probes, before: Probes) -> str:
    newest = now.latencies[0]
    some = len(now.latencies) == CHECKS
    checks = f"newest {CHECKS} health checks" if some else format_count(len(now.latencies), "health check")
    text = f"{checks} of the window: newest {'unanswered' if newest is None else format_milliseconds(newest)}"
    if now.answered:
        text += f", median {format_milliseconds(median_low(now.answered))}"
    unanswered = len(now.latencies) - len(now.answered)
    if unanswered:
        text += f", {unanswered:,} unanswered"
    if min(len(now.answered), len(before.answered)) < MIN_CHECKS:
        return text
    middle, was = median_low(now.answered), median_low(before.answered)
    text += f"; median before {format_milliseconds(was)}"
    return f"{text} ({format_ratio(middle, was)} that)" if was else text


def _has_changed(now: Probes, before: Probes) -> bool:
    if min(len(now.answered), len(before.answered)) < MIN_CHECKS:
        return False
    middle, was = max(1, median_low(now.answered)), max(1, median_low(before.answered))
    return max(middle / was, was / middle) >= NOTABLE


source = ContextSource("metadata", "D", frozenset({Topic.HEALTH}), 2.0, read)
