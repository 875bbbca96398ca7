"""Deployment details: answers "which version serves this model, where, and how close is it to capacity?".

Columns: model, region, version, endpoint, last seen (minutes and hours ago), capacity in requests per minute
with the load of the last hour and of its busiest minute as a share (%), and latency of health checks (ms):
newest and median of the window, and the median of the 7 days before, of at most MAX_CHECKS each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median_low

from sqlalchemy import Select, select, union_all

from context_builder.question.request import ContextRequest, Topic, Window
from context_builder.question.times.bounds import floor_to_minute
from context_builder.rollups.rows import Groups
from context_builder.rollups.span import by_minute, minute_of
from context_builder.rollups.store import Rollups
from context_builder.rollups.table import REQUESTS
from context_builder.source import ContextSource, Fact, Section, Shown, Status, Stores, by_importance
from context_builder.telemetry.fleet import is_overwritten, known_deployments, latest_accepted_report
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
from models import Deployment, HealthCheck
from models.database import ReadSession

MAX_FACTS = 30
"""Deployments that get a fact each, the busiest first."""
MAX_CHECKS = 100
"""Newest health checks that are read of each deployment, in the window and before it."""
MIN_CHECKS = 5
"""Minimum of answered checks on each side for a comparison of latencies."""
NOTABLE_CHECK_RATIO = 1.5
"""Factor of change in the median, up or down, that an engineer should look at."""
NEAR_PERCENT = 80
"""Share of the capacity from which a deployment is near it."""
_HOUR = timedelta(hours=1)
_MAX_NAMES = 20


@dataclass(frozen=True, slots=True)
class DeploymentLoad:
    """Requests in the last hour and in its busiest minute."""

    requests: int = 0
    peak: int = 0


@dataclass(frozen=True, slots=True)
class CheckLatencies:
    """Latencies in ms of one deployment's health checks, newest first; None: no answer."""

    latencies: list[int | None] = field(default_factory=list)

    @property
    def answered(self) -> list[int]:
        """Return the latencies of the answered checks."""
        return [latency for latency in self.latencies if latency is not None]


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Return a fact for each of the busiest deployments; the others are listed by name."""
    loads = await _read_loads(stores.rollups, request)
    async with stores.snapshot.session() as session:
        deployments = await known_deployments(session, request)
        if not deployments:
            return Section("no deployments are known", status=Status.EMPTY)
        ranked = sorted(deployments, key=lambda d: (-_load_of(loads, d).requests, d.public_id))
        shown = [deployment.id for deployment in ranked[:MAX_FACTS]]
        now = await _load_checks(session, shown, request.window)
        before = await _load_checks(session, shown, baseline_window(request.window))
    facts = [
        _fact(one, request, _load_of(loads, one), now[one.id], before[one.id]) for one in ranked[:MAX_FACTS]
    ]
    if len(ranked) > MAX_FACTS:
        names = format_list([one.public_id for one in ranked[MAX_FACTS:]], _MAX_NAMES)
        facts.append(
            Fact(f"{len(ranked) - MAX_FACTS:,} more deployments: {names}", "", 0.1, kind="deployments")
        )
    gaps: tuple[str, ...] = ()
    later = [one.public_id for one in deployments if is_overwritten(one, request)]
    if later:
        columns = "version, region, endpoint, capacity and last seen"
        gaps = (
            f"{columns} at this moment of {format_list(later, _MAX_NAMES)}: the recorded values are newer",
        )
    models = {one.model for one in deployments}
    return Section(
        f"{format_count(len(deployments), 'deployment')} of {format_count(len(models), 'model')}",
        by_importance(facts),
        gaps=gaps,
    )


def _load_of(loads: dict[int, DeploymentLoad], deployment: Deployment) -> DeploymentLoad:
    return loads.get(deployment.id, DeploymentLoad())


async def _read_loads(rollups: Rollups, request: ContextRequest) -> dict[int, DeploymentLoad]:
    """Load the last hour by deployment, across all users, since they share its capacity."""
    end = floor_to_minute(request.as_of)
    rows = await rollups.read(REQUESTS, *by_minute(Window(end - _HOUR, end)))
    minutes = Groups(rows["deployment_id"], rows["start"] - minute_of(end - _HOUR))
    deployment, requests = rows["deployment_id"][minutes.first], minutes.sum(rows["requests"])
    deployments = Groups(deployment)
    return {
        number: DeploymentLoad(total, peak)
        for number, total, peak in zip(
            deployment[deployments.first].tolist(),
            deployments.sum(requests).tolist(),
            deployments.max(requests).tolist(),
            strict=True,
        )
    }


async def _load_checks(
    session: ReadSession, ids: Sequence[int], window: Window
) -> defaultdict[int, CheckLatencies]:
    """Load the newest health checks of each deployment, each by its own range of the index."""
    parts = [select(_select_newest(number, window).subquery()) for number in ids]
    rows = await session.execute(union_all(*parts))
    found: defaultdict[int, CheckLatencies] = defaultdict(CheckLatencies)
    for row in sorted(rows, key=lambda row: (row.checked_at, row.id), reverse=True):
        found[row.deployment_id].latencies.append(row.latency_ms)
    return found


def _select_newest(number: int, window: Window) -> Select[int, int, datetime, int | None]:
    return (
        select(HealthCheck.deployment_id, HealthCheck.id, HealthCheck.checked_at, HealthCheck.latency_ms)
        .where(
            HealthCheck.deployment_id == number,
            HealthCheck.checked_at >= window.start,
            HealthCheck.checked_at < window.end,
        )
        .order_by(HealthCheck.checked_at.desc(), HealthCheck.id.desc())
        .limit(MAX_CHECKS)
    )


def _fact(
    deployment: Deployment,
    request: ContextRequest,
    load: DeploymentLoad,
    now: CheckLatencies,
    before: CheckLatencies,
) -> Fact:
    known = not is_overwritten(deployment, request)
    capacity = deployment.capacity_rpm if known else None
    usage = _format_usage(load, capacity)
    parts = [f"{format_name(deployment.public_id)}: model {format_name(deployment.model)}"]
    short = parts[0]
    if known:
        parts += _details(deployment, request)
        short += f", version {format_name(deployment.version)}" if deployment.version else ""
    parts.append(usage)
    importance = _load_importance(load, capacity)
    if now.latencies:
        parts.append(_format_checks(now, before))
        importance = max(importance, 0.7 if _has_changed(now, before) else 0)
    return Fact("; ".join(parts), f"{short}; {usage}", importance, kind="deployments")


def _load_importance(load: DeploymentLoad, capacity: int | None) -> float:
    """Return the importance by how close the last hour and its busiest minute came to the capacity."""
    if not capacity or load.peak * 100 < capacity * NEAR_PERCENT:
        return 0.4
    return 0.9 if load.requests * 100 >= 60 * capacity * NEAR_PERCENT else 0.75


def _details(deployment: Deployment, request: ContextRequest) -> Iterator[str]:
    """Yield what the deployment's row says."""
    for noun, value in (("version", deployment.version), ("region", deployment.region)):
        if value:
            yield f"{noun} {format_name(value)}"
    if deployment.endpoint:
        yield f"endpoint {format_name(_public_address(deployment.endpoint))}"
    seen = deployment.last_seen_at
    if seen is not None and seen <= latest_accepted_report(request):
        yield f"last seen {format_duration(request.as_of - seen)} ago"


def _public_address(endpoint: str) -> str:
    """Return an endpoint without user, password and parameters, which may be secrets."""
    plain = endpoint.partition("?")[0].partition("#")[0]
    scheme, separator, rest = plain.rpartition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def _format_usage(load: DeploymentLoad, capacity: int | None) -> str:
    hour = format_count(load.requests, "request")
    text = f"{hour} in the last hour, {load.requests / 60:,.1f} a minute, {load.peak:,} in the busiest"
    if not capacity:
        return text
    share, peak = format_percent(load.requests, 60 * capacity), format_percent(load.peak, capacity)
    return f"{text}; {share} and {peak} of its capacity of {capacity:,} requests per minute"


def _format_checks(now: CheckLatencies, before: CheckLatencies) -> str:
    newest = now.latencies[0]
    some = len(now.latencies) == MAX_CHECKS
    checks = (
        f"newest {MAX_CHECKS} health checks" if some else format_count(len(now.latencies), "health check")
    )
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


def _has_changed(now: CheckLatencies, before: CheckLatencies) -> bool:
    if min(len(now.answered), len(before.answered)) < MIN_CHECKS:
        return False
    middle, was = max(1, median_low(now.answered)), max(1, median_low(before.answered))
    return max(middle / was, was / middle) >= NOTABLE_CHECK_RATIO


source = ContextSource("metadata", "D", frozenset({Topic.HEALTH}), 2.0, read, shows_to_confined=Shown.NOTHING)
