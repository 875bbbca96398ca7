"""User activity: answers "who is this user, what have they done and sent, and is that more than usual?".

Columns: name, role, tier and creation time (UTC); actions in the window or the last 7 days; requests and cost
(US dollars) in the window and per hour, compared with the 7 days before; deployments and statuses of the
newest requests, at most MAX_SAMPLE. Empty unless the question names a user.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select, type_coerce

from context_builder.question.form import Noun
from context_builder.question.request import ContextRequest, Topic, Window, Wording
from context_builder.source import (
    ContextSource,
    Fact,
    Headline,
    Role,
    Section,
    Shown,
    Status,
    Stores,
    by_importance,
)
from context_builder.telemetry.fleet import latest_accepted_report
from context_builder.telemetry.newest_requests import newest_of_users, newest_rows
from context_builder.telemetry.rollups import BASELINE, baseline_window
from context_builder.telemetry.user_scope import of_users
from context_builder.telemetry.user_spend import spend_in
from context_builder.text.formatting import (
    format_count,
    format_dollars,
    format_duration,
    format_name,
    format_percent,
    format_time,
)
from context_builder.text.lists import format_items, rank_counts
from context_builder.text.sanitize import quote
from models import FAILED_STATUSES, Deployment, Request, User, UserAction, UserSpend
from models.database import ReadSession
from models.tables.schema import Money

MAX_USERS = 5
MAX_ACTIONS = 20
MAX_SAMPLE = 2_000
"""Newest requests of a user in the window whose deployment and status are read."""
MAX_NAMES = 8
_NOTABLE_FAILURE_SHARE = 0.1
"""Share of failed requests from which the failures are probably why the question names the user."""
_OUTCOME_TOPICS = frozenset({Topic.ERRORS, Topic.HEALTH, Topic.VOLUME, Topic.COST, Topic.CHANGES})
_HOUR = timedelta(hours=1)


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Return profile, requests, spend and actions of each user that the question names."""
    ids = request.scope.user_ids[:MAX_USERS]
    if not ids:
        return Section("no user in scope", status=Status.EMPTY, applies=False)
    facts: list[Fact] = []
    gaps: list[str] = []
    async with stores.snapshot.session() as session:
        statement = select(User).where(
            User.id.in_(ids), of_users(request.scope, User.id), User.created_at <= request.as_of
        )
        users = sorted(await session.scalars(statement), key=lambda user: user.public_id)
        for user in users:
            actions = await _load_actions(session, request, user)
            facts.append(_profile_fact(user, request))
            facts += await _spend_facts(session, request, user)
            facts += await _request_facts(session, request, user)
            facts += _action_facts(actions, user, request)
            if user.updated_at > latest_accepted_report(request):
                name = format_name(user.public_id)
                gaps.append(f"the tier at this moment of {name}: tier or budget changed later")
    if len(request.scope.user_ids) > MAX_USERS:
        gaps.append(f"activity of {len(request.scope.user_ids) - MAX_USERS:,} more users in scope")
    if not facts:
        return Section("the user in scope did not exist then", status=Status.EMPTY)
    names = ", ".join(format_name(user.public_id) for user in users)
    return Section(f"activity of {names}", by_importance(facts), gaps=tuple(gaps))


def _profile_fact(user: User, request: ContextRequest) -> Fact:
    name = format_name(user.public_id)
    details = [f"name {quote(user.name, limit=100)}"] if user.name else []
    if user.role:
        details.append(f"role {format_name(user.role)}")
    known = user.updated_at <= latest_accepted_report(request)
    details.append(f"tier {user.tier}" if known else "tier unknown at this moment")
    age = format_duration(request.as_of - user.created_at)
    details.append(f"user since {format_time(user.created_at)} ({age})")
    text = f"{name}: {', '.join(details)}"
    return Fact(text, "", 0.8, kind="user profiles", headline=_headline(text, Role.STATE))


async def _load_actions(session: ReadSession, request: ContextRequest, user: User) -> Sequence[UserAction]:
    oldest = min(request.window.start, request.as_of - BASELINE)
    found = await session.scalars(
        select(UserAction)
        .where(
            UserAction.user_id == user.id,
            UserAction.occurred_at >= oldest,
            UserAction.occurred_at <= request.as_of,
        )
        .order_by(UserAction.occurred_at.desc(), UserAction.id.desc())
        .limit(MAX_ACTIONS)
    )
    return found.all()


def _action_facts(actions: Sequence[UserAction], user: User, request: ContextRequest) -> Iterator[Fact]:
    """Yield the newest actions; those in the window are more important."""
    for rank, action in enumerate(actions):
        inside = request.window.start <= action.occurred_at < request.window.end
        when = format_time(action.occurred_at)
        head = f"{format_name(user.public_id)} at {when}: {format_name(action.action)}"
        text = f"{head}, {quote(action.detail)}" if action.detail else head
        importance = (0.75 if inside else 0.5) - 0.01 * rank
        yield Fact(text, head if action.detail else "", importance, kind="user actions")


async def _spend_facts(session: ReadSession, request: ContextRequest, user: User) -> list[Fact]:
    """Return requests and cost of the window, with both per hour compared with the baseline."""
    sides = {}
    for side, window in enumerate((baseline_window(request.window), request.window)):
        spent = spend_in(session, window, UserSpend.user_id == user.id)
        totals = select(
            func.sum(spent.c.requests),
            type_coerce(func.sum(spent.c.nano), Money),
            func.min(spent.c.bucket_start),
        )
        requests, cost, first = (await session.execute(totals)).one()
        if requests:
            sides[side] = int(requests), cost, first
    name = format_name(user.public_id)
    if 1 not in sides:
        text = f"{name} sent no requests in the window{_format_baseline(sides.get(0), request)}"
        headline = _headline(f"{name} sent no requests in the window", Role.COUNT, Noun.REQUEST)
        return [Fact(text, "", 0.6, kind="user volumes", headline=headline)]
    requests, cost, _ = sides[1]
    sent = f"{format_count(requests, 'request')} for {format_dollars(cost)}"
    head = f"{name} sent {sent} in the window, on all deployments"
    hourly = _format_hourly(requests, cost, request.window.length)
    text = f"{head}: {hourly}{_format_baseline(sides.get(0), request)}"
    topic = Topic.COST if Topic.COST in request.topics else Topic.VOLUME
    headline = _headline(f"{name} sent {sent} in the window", Role.COUNT, Noun.REQUEST, topic=topic)
    return [Fact(text, head, 0.85, kind="user volumes", headline=headline)]


def _headline(
    text: str, role: Role, *nouns: Noun, topic: Topic | None = None, alarm: bool | None = None
) -> Headline:
    return Headline(text=text, role=role, nouns=(Noun.USER, *nouns), topic=topic, alarm=alarm)


def _format_baseline(side: tuple[int, Decimal, datetime] | None, request: ContextRequest) -> str:
    """Format requests and cost per hour over the part of the baseline since the user's first request."""
    if side is None:
        return "; none in the 7 days before"
    requests, cost, first = side
    span: Window = baseline_window(request.window)
    hourly = _format_hourly(requests, cost, max(span.end - first, _HOUR))
    return f"; from {format_time(first)} until then {hourly}"


def _format_hourly(requests: int, cost: Decimal, span: timedelta) -> str:
    hours = Decimal(span // timedelta(seconds=1)) / 3600
    return f"{requests / hours:,.1f} requests and {format_dollars(cost / hours)} an hour"


async def _request_facts(session: ReadSession, request: ContextRequest, user: User) -> list[Fact]:
    """Return outcomes and deployments of the user's newest requests in the window."""
    of_user = replace(request, scope=replace(request.scope, user_ids=(user.id,)))
    shown = (Request.deployment_id, Request.status, Request.error_code)
    rows = await newest_rows(session, newest_of_users(of_user, MAX_SAMPLE), of_user, MAX_SAMPLE, *shown)
    total = len(rows)
    if not total:
        return []
    ids = {row.deployment_id for row in rows}
    named = await session.execute(select(Deployment.id, Deployment.public_id).where(Deployment.id.in_(ids)))
    names = {row.id: row.public_id for row in named}
    kinds = Counter((names[row.deployment_id], row.status, row.error_code or "") for row in rows)
    found = [(*kind, number) for kind, number in kinds.items()]
    where = " on the deployments in scope" if request.scope.deployment_ids else ""
    which = (
        f"the newest {MAX_SAMPLE} requests"
        if total == MAX_SAMPLE
        else f"all {format_count(total, 'request')}"
    )
    head = f"{which} of {format_name(user.public_id)}{where} in the window"
    return [
        _outcome_fact(head, found, total),
        Fact(f"{head} by deployment: {_format_shares(found, 0, total)}", "", 0.65, kind="user breakdowns"),
    ]


def _outcome_fact(head: str, rows: Sequence[Any], total: int) -> Fact:
    """Return how many requests failed, with statuses and error codes."""
    codes: Counter[str] = Counter()
    for _, status, code, number in rows:
        if status in FAILED_STATUSES:
            codes[f"{status} {format_name(code)}" if code else status] += number
    failed = codes.total()
    kinds = ", ".join(f"{code} {number:,}" for code, number in rank_counts(codes)[:MAX_NAMES])
    short = f"{head}: {failed:,} of {format_count(total, 'request')} failed ({format_percent(failed, total)})"
    return Fact(
        f"{short}: {kinds}" if failed else short,
        short if failed else "",
        0.7 + (0.25 if failed >= _NOTABLE_FAILURE_SHARE * total else 0),
        _OUTCOME_TOPICS,
        "user breakdowns",
        headline=_headline(
            f"{failed:,} of {format_count(total, 'request')}{head.partition('requests')[2]} failed"
            f" ({format_percent(failed, total)})",
            Role.COUNT,
            Noun.REQUEST,
            Noun.ERROR,
            topic=Topic.ERRORS,
            alarm=failed >= _NOTABLE_FAILURE_SHARE * total,
        ),
    )


def _format_shares(rows: Sequence[Any], column: int, total: int) -> str:
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row[column]] += row[3]
    shares = [f"{format_name(name)} {n:,} ({format_percent(n, total)})" for name, n in rank_counts(counts)]
    return format_items(shares, MAX_NAMES)


source = ContextSource(
    "activity",
    "U",
    frozenset({Topic.VOLUME, Topic.COST, Topic.CHANGES}),
    3.0,
    read,
    asks=frozenset({Wording.TOPICS}),
    shows_to_confined=Shown.OWN,
)
