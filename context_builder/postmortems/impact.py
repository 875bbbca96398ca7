"""The impact of an incident, computed by the database: requests, failures, users, money, against before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Select, case, func, or_, select

from context_builder.postmortems.affected import AffectedDeployments
from context_builder.postmortems.markdown_text import plain
from context_builder.question.request import Window
from context_builder.telemetry.rollups import baseline_window, in_window, traffic_condition
from context_builder.text.formatting import (
    format_count,
    format_dollars,
    format_duration,
    format_percent,
    format_time,
)
from models import FAILED_STATUSES, Incident, Request, RequestRollup, Tier
from models.database import ReadSession
from models.tables.schema import Money, UtcDateTime

MAX_FAILED_ROWS = 100_000
"""Failed requests that are looked through for their users."""
REQUESTS, USERS = "impact.requests", "impact.users"
"""References of the two queries."""

_MINUTE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests of one tier, or of all."""

    requests: int = 0
    failed: int = 0
    failed_cost: Decimal = Decimal(0)

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(
            self.requests + other.requests, self.failed + other.failed, self.failed_cost + other.failed_cost
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """What an incident did to the requests of what it hit."""

    hit: AffectedDeployments
    window: Window
    """The incident in whole minutes."""
    by_tier: dict[str, Traffic] = field(default_factory=dict)
    before: dict[str, Traffic] = field(default_factory=dict)
    """The same in the days before."""
    before_since: datetime | None = None
    """From when on there are figures of before; None: there are none."""
    users: int = 0
    users_are_more: bool = False
    """Whether so many requests failed that not all were looked through."""

    @property
    def total(self) -> Traffic:
        """All tiers."""
        return sum(self.by_tier.values(), Traffic())

    @property
    def total_before(self) -> Traffic:
        """All tiers, before."""
        return sum(self.before.values(), Traffic())


def minutes_of(incident: Incident, resolved_at: datetime) -> Window:
    """The whole minutes that an incident touched, at least one."""
    start = incident.started_at.replace(second=0, microsecond=0)
    end = resolved_at.replace(second=0, microsecond=0)
    return Window(start, end if end == resolved_at and end > start else end + _MINUTE)


async def read_impact(session: ReadSession, hit: AffectedDeployments, window: Window) -> Impact:
    """The figures of a window; where it is not known what was hit, there are none."""
    if not hit.deployment_ids:
        return Impact(hit=hit, window=window)
    now, before = in_window(RequestRollup, window), in_window(RequestRollup, baseline_window(window))
    is_now = case((now, 1), else_=0)
    failed = RequestRollup.status.in_(FAILED_STATUSES)
    rows = await session.execute(
        select(
            RequestRollup.tier,
            is_now,
            func.sum(RequestRollup.requests),
            func.sum(case((failed, RequestRollup.requests), else_=0)),
            func.sum(case((failed, RequestRollup.cost_usd), else_=0), type_=Money),
            func.min(RequestRollup.bucket_start, type_=UtcDateTime),
        )
        .where(or_(now, before), traffic_condition(RequestRollup, hit.deployment_ids, ()))
        .group_by(RequestRollup.tier, is_now)
    )
    figures: tuple[dict[str, Traffic], dict[str, Traffic]] = ({}, {})
    since: datetime | None = None
    for tier, side, requests, failures, cost, first in rows:
        figures[side][tier] = Traffic(int(requests), int(failures), Decimal(cost or 0))
        if not side:
            since = first if since is None else min(since, first)
    users, rows_read = await _users(session, hit, window)
    return Impact(
        hit=hit,
        window=window,
        by_tier=figures[1],
        before=figures[0],
        before_since=since,
        users=users,
        users_are_more=rows_read >= MAX_FAILED_ROWS,
    )


async def _users(session: ReadSession, hit: AffectedDeployments, window: Window) -> tuple[int, int]:
    """Distinct users with a failed request, and how many failed requests were looked through."""
    failed = failed_requests(hit, window).subquery()
    counts = select(func.count(failed.c.user_id.distinct()), func.count()).select_from(failed)
    users, rows = (await session.execute(counts)).one()
    return int(users), int(rows)


def failed_requests(hit: AffectedDeployments, window: Window) -> Select[int]:
    """Whose requests failed, as far as they are looked through; read by an index."""
    return (
        select(Request.user_id)
        .where(
            Request.deployment_id.in_(hit.deployment_ids),
            Request.status.in_(FAILED_STATUSES),
            Request.created_at >= window.start,
            Request.created_at < window.end,
        )
        .limit(MAX_FAILED_ROWS)
    )


def impact_lines(impact: Impact) -> Iterator[str]:
    """The figures in sentences, each with the query that it comes from."""
    lasted = format_duration(impact.window.length)
    if not impact.hit.deployment_ids:
        yield (
            "- Not known: the record names no deployment, model or backend that exists, so that its requests "
            "cannot be told from the others."
        )
        return
    total, before, what = impact.total, impact.total_before, plain(impact.hit.label)
    span = f"in the {lasted} from {format_time(impact.window.start)} to {format_time(impact.window.end)}"
    if not total.requests:
        yield f"- No request reached {what} {span} [{REQUESTS}]"
    else:
        failures = f"{total.failed:,} of them failed ({format_percent(total.failed, total.requests)})"
        yield f"- {format_count(total.requests, 'request')} reached {what} {span}; {failures} [{REQUESTS}]"
    yield f"- {_before(impact, before)} [{REQUESTS}]"
    yield from _tiers(impact)
    if total.failed:
        least = "at least " if impact.users_are_more else ""
        yield f"- {least}{format_count(impact.users, 'user')} had a request that failed [{USERS}]"
        yield f"- the failed requests cost {format_dollars(total.failed_cost)} [{REQUESTS}]"


def _before(impact: Impact, before: Traffic) -> str:
    if impact.before_since is None or not before.requests:
        return "nothing is recorded of the 7 days before to compare it with"
    span = max(baseline_window(impact.window).end - impact.before_since, _HOUR)
    usual = round(before.requests * (impact.window.length / span))
    return (
        f"from {format_time(impact.before_since)} until then {format_percent(before.failed, before.requests)} failed, "
        f"and as long a time had {format_count(usual, 'request')}"
    )


def _tiers(impact: Impact) -> Iterator[str]:
    order = {tier.value: rank for rank, tier in enumerate(Tier)}
    for tier in sorted(impact.by_tier, key=lambda name: (order.get(name, len(order)), name)):
        now, was = impact.by_tier[tier], impact.before.get(tier, Traffic())
        usual = f", before {format_percent(was.failed, was.requests)}" if was.requests else ""
        failed = f"{now.failed:,} of {format_count(now.requests, 'request')} failed"
        yield f"- {plain(tier)}: {failed} ({format_percent(now.failed, now.requests)}{usual}) [{REQUESTS}]"


def queries_used(impact: Impact) -> Iterator[str]:
    """What the references stand for."""
    if impact.hit.deployment_ids:
        span = f"from {format_time(impact.window.start)} to {format_time(impact.window.end)} UTC, and of 7 days before"
        yield f"- [{REQUESTS}] sums of request_rollups of {plain(impact.hit.label)} {span}"
        if impact.total.failed:
            yield f"- [{USERS}] distinct users of failed rows of requests, the same deployments and minutes"
