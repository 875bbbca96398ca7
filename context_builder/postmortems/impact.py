"""The impact of an incident in requests, failures, users and cost, compared with the time before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Select, case, func, or_, select

from context_builder.postmortems.affected import AffectedDeployments
from context_builder.postmortems.markdown_text import escape_markdown
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
from models.request_log.cold import cold_part, log_rows
from models.tables.schema import Money, UtcDateTime

MAX_FAILED_ROWS = 100_000
"""The most failed requests that are searched for distinct users."""
REQUESTS, USERS = "impact.requests", "impact.users"
"""References to the two queries."""

_MINUTE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class TierTraffic:
    """Requests of one tier, or of all."""

    requests: int = 0
    failed: int = 0
    failed_cost: Decimal = Decimal(0)

    def __add__(self, other: TierTraffic) -> TierTraffic:
        return TierTraffic(
            self.requests + other.requests, self.failed + other.failed, self.failed_cost + other.failed_cost
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """What an incident did to the requests of the affected deployments."""

    affected: AffectedDeployments
    window: Window
    """The incident in whole minutes."""
    by_tier: dict[str, TierTraffic] = field(default_factory=dict)
    before: dict[str, TierTraffic] = field(default_factory=dict)
    """The same for the 7 days before."""
    before_since: datetime | None = None
    """Start of the figures for the time before; None: there are none."""
    users: int = 0
    users_are_more: bool = False
    """True if more requests failed than were searched."""

    @property
    def total(self) -> TierTraffic:
        """All tiers."""
        return sum(self.by_tier.values(), TierTraffic())

    @property
    def total_before(self) -> TierTraffic:
        """All tiers, before."""
        return sum(self.before.values(), TierTraffic())


def minutes_of(incident: Incident, resolved_at: datetime) -> Window:
    """Return the whole minutes that an incident touched, at least one."""
    start = incident.started_at.replace(second=0, microsecond=0)
    end = resolved_at.replace(second=0, microsecond=0)
    return Window(start, end if end == resolved_at and end > start else end + _MINUTE)


async def load_impact(session: ReadSession, affected: AffectedDeployments, window: Window) -> Impact:
    """Load the figures of a window; none if the affected deployments are unknown."""
    if not affected.deployment_ids:
        return Impact(affected=affected, window=window)
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
        .where(or_(now, before), traffic_condition(RequestRollup, affected.deployment_ids, ()))
        .group_by(RequestRollup.tier, is_now)
    )
    figures: tuple[dict[str, TierTraffic], dict[str, TierTraffic]] = ({}, {})
    since: datetime | None = None
    for tier, side, requests, failures, cost, first in rows:
        figures[side][tier] = TierTraffic(int(requests), int(failures), Decimal(cost or 0))
        if not side:
            since = first if since is None else min(since, first)
    users, rows_read = await _users(session, affected, window)
    return Impact(
        affected=affected,
        window=window,
        by_tier=figures[1],
        before=figures[0],
        before_since=since,
        users=users,
        users_are_more=rows_read >= MAX_FAILED_ROWS,
    )


async def _users(session: ReadSession, affected: AffectedDeployments, window: Window) -> tuple[int, int]:
    """Return the number of distinct users with a failed request, and of failed requests searched."""
    statement = failed_requests(affected, window)
    if await cold_part(session, window.start, window.end):
        found = await log_rows(session, statement, since=window.start, until=window.end)
        return len({row.user_id for row in found[:MAX_FAILED_ROWS]}), min(len(found), MAX_FAILED_ROWS)
    failed = statement.subquery()
    counts = select(func.count(failed.c.user_id.distinct()), func.count()).select_from(failed)
    users, rows = (await session.execute(counts)).one()
    return int(users), int(rows)


def failed_requests(affected: AffectedDeployments, window: Window) -> Select[int, datetime, int]:
    """Select id, moment and user of failed requests, up to a limit; uses an index."""
    return (
        select(Request.id, Request.created_at, Request.user_id)
        .where(
            Request.deployment_id.in_(affected.deployment_ids),
            Request.status.in_(FAILED_STATUSES),
            Request.created_at >= window.start,
            Request.created_at < window.end,
        )
        .limit(MAX_FAILED_ROWS)
    )


def impact_lines(impact: Impact) -> Iterator[str]:
    """Yield the figures as sentences, each with the query it comes from."""
    lasted = format_duration(impact.window.length)
    if not impact.affected.deployment_ids:
        reason = "the record names no existing deployment, model or backend"
        yield f"- Not known: {reason}, so its requests cannot be told apart from others."
        return
    total, before, what = impact.total, impact.total_before, escape_markdown(impact.affected.label)
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


def _before(impact: Impact, before: TierTraffic) -> str:
    if impact.before_since is None or not before.requests:
        return "there are no records of the 7 days before to compare it with"
    span = max(baseline_window(impact.window).end - impact.before_since, _HOUR)
    usual = round(before.requests * (impact.window.length / span))
    failed = format_percent(before.failed, before.requests)
    return (
        f"from {format_time(impact.before_since)} until then {failed} failed, "
        f"and a period of this length had {format_count(usual, 'request')} on average"
    )


def _tiers(impact: Impact) -> Iterator[str]:
    order = {tier.value: rank for rank, tier in enumerate(Tier)}
    for tier in sorted(impact.by_tier, key=lambda name: (order.get(name, len(order)), name)):
        now, was = impact.by_tier[tier], impact.before.get(tier, TierTraffic())
        usual = f", before {format_percent(was.failed, was.requests)}" if was.requests else ""
        failed = f"{now.failed:,} of {format_count(now.requests, 'request')} failed"
        share = format_percent(now.failed, now.requests)
        yield f"- {escape_markdown(tier)}: {failed} ({share}{usual}) [{REQUESTS}]"


def queries_used(impact: Impact) -> Iterator[str]:
    """Yield the meaning of the references."""
    if impact.affected.deployment_ids:
        span = f"from {format_time(impact.window.start)} to {format_time(impact.window.end)} UTC"
        sums = f"sums of request_rollups for {escape_markdown(impact.affected.label)} {span}"
        yield f"- [{REQUESTS}] {sums}, and for the 7 days before"
        if impact.total.failed:
            yield f"- [{USERS}] distinct users in failed rows of requests, same deployments and minutes"
