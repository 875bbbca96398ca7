"""What a user did: answers "who is this user, what did he do and send lately, and is that more than usual?".

Columns: name, role, tier and since when (UTC); actions of the window or the last 7 days; requests and cost
(US dollars) of the window and per hour, beside the 7 days before; deployments and statuses of his newest
requests, at most SAMPLE. Nothing unless the question names a user.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import case, func, or_, select, type_coerce
from sqlalchemy.types import BigInteger

from context_builder.question.request import ContextRequest, Topic, Window
from context_builder.source import ContextSource, Fact, Section, Status, Stores
from context_builder.telemetry.fleet import latest_accepted_report
from context_builder.telemetry.newest_requests import newest_of_users
from context_builder.telemetry.rollups import BASELINE, baseline_window, in_window
from context_builder.text.formatting import (
    format_count,
    format_dollars,
    format_duration,
    format_name,
    format_percent,
    format_time,
)
from context_builder.text.sanitize import quote
from models import FAILED_STATUSES, Deployment, Request, User, UserAction, UserSpend
from models.database import ReadSession
from models.tables.schema import Money, UtcDateTime

MAX_USERS = 5
MAX_ACTIONS = 20
SAMPLE = 2_000
"""Requests of a user whose deployment and status are read, the newest of the window."""
MAX_NAMES = 8
_MANY_FAILED = 0.1
"""From this share on, that a user's requests fail is what he is asked about for."""
_FAILING = frozenset({Topic.ERRORS, Topic.HEALTH, Topic.VOLUME, Topic.COST, Topic.CHANGES})
_HOUR = timedelta(hours=1)


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Each user that the question names: who he is, what he sent, and what he did beside."""
    ids = request.scope.user_ids[:MAX_USERS]
    if not ids:
        return Section("no user is asked about", status=Status.EMPTY)
    facts: list[Fact] = []
    gaps: list[str] = []
    async with stores.snapshot.session() as session:
        statement = select(User).where(User.id.in_(ids), User.created_at <= request.as_of)
        users = sorted(await session.scalars(statement), key=lambda user: user.public_id)
        for user in users:
            actions = await _actions(session, request, user)
            facts.append(_profile(user, request))
            facts += await _spent(session, request, user)
            facts += await _sent(session, request, user)
            facts += _told(actions, user, request)
            if user.updated_at > latest_accepted_report(request):
                gaps.append(
                    f"the tier at this moment of {format_name(user.public_id)}: tier or budget changed later"
                )
    if len(request.scope.user_ids) > MAX_USERS:
        gaps.append(f"activity of {len(request.scope.user_ids) - MAX_USERS:,} more users who are asked about")
    if not facts:
        return Section("the user who is asked about was not known then", status=Status.EMPTY)
    names = ", ".join(format_name(user.public_id) for user in users)
    return Section(
        f"activity of {names}",
        tuple(sorted(facts, key=lambda fact: -fact.importance)),
        gaps=tuple(gaps),
    )


def _profile(user: User, request: ContextRequest) -> Fact:
    name = format_name(user.public_id)
    details = [f"name {quote(user.name, limit=100)}"] if user.name else []
    if user.role:
        details.append(f"role {format_name(user.role)}")
    known = user.updated_at <= latest_accepted_report(request)
    details.append(f"tier {user.tier}" if known else "tier not known for this moment")
    details.append(
        f"user since {format_time(user.created_at)} ({format_duration(request.as_of - user.created_at)})"
    )
    return Fact(f"{name}: {', '.join(details)}", "", 0.8, kind="user profiles")


async def _actions(session: ReadSession, request: ContextRequest, user: User) -> Sequence[UserAction]:
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


def _told(actions: Sequence[UserAction], user: User, request: ContextRequest) -> Iterator[Fact]:
    """The newest actions; those of the window count for more."""
    for rank, action in enumerate(actions):
        inside = request.window.start <= action.occurred_at < request.window.end
        head = f"{format_name(user.public_id)} at {format_time(action.occurred_at)}: {format_name(action.action)}"
        text = f"{head}, {quote(action.detail)}" if action.detail else head
        importance = (0.75 if inside else 0.5) - 0.01 * rank
        yield Fact(text, head if action.detail else "", importance, kind="user actions")


async def _spent(session: ReadSession, request: ContextRequest, user: User) -> list[Fact]:
    """Requests and cost of the window, and an hour's share of both beside the days before."""
    now, before = in_window(UserSpend, request.window), in_window(UserSpend, baseline_window(request.window))
    side = case((now, 1), else_=0)
    nano = func.sum(type_coerce(UserSpend.cost_usd, BigInteger))
    rows = await session.execute(
        select(
            side,
            func.sum(UserSpend.requests),
            type_coerce(nano, Money),
            func.min(UserSpend.bucket_start, type_=UtcDateTime),
        )
        .where(UserSpend.user_id == user.id, or_(now, before))
        .group_by(side)
    )
    sides = {row[0]: (int(row[1]), row[2], row[3]) for row in rows}
    name = format_name(user.public_id)
    if 1 not in sides:
        return [Fact(f"{name} sent no requests in the window{_before(sides.get(0), request)}", "", 0.6,
                     kind="user volumes")]  # fmt: skip
    requests, cost, _ = sides[1]
    head = f"{name} sent {format_count(requests, 'request')} for {format_dollars(cost)} in the window, on all deployments"
    text = f"{head}: {_hourly(requests, cost, request.window.length)}{_before(sides.get(0), request)}"
    return [Fact(text, head, 0.85, kind="user volumes")]


def _before(side: tuple[int, Decimal, datetime] | None, request: ContextRequest) -> str:
    """An hour's share of the baseline, over the part of it since the user's first request."""
    if side is None:
        return "; none in the 7 days before"
    requests, cost, first = side
    span: Window = baseline_window(request.window)
    return f"; from {format_time(first)} until then {_hourly(requests, cost, max(span.end - first, _HOUR))}"


def _hourly(requests: int, cost: Decimal, span: timedelta) -> str:
    hours = Decimal(span // timedelta(seconds=1)) / 3600
    return f"{requests / hours:,.1f} requests and {format_dollars(cost / hours)} an hour"


async def _sent(session: ReadSession, request: ContextRequest, user: User) -> list[Fact]:
    """Deployments and statuses of the user's newest requests in the window."""
    his = replace(request, scope=replace(request.scope, user_ids=(user.id,)))
    newest = newest_of_users(his, SAMPLE)
    last = (
        select(newest.c.id).order_by(newest.c.created_at.desc(), newest.c.id.desc()).limit(SAMPLE).subquery()
    )
    rows = await session.execute(
        select(Deployment.public_id, Request.status, func.coalesce(Request.error_code, ""), func.count())
        .join(last, last.c.id == Request.id)
        .join(Deployment, Deployment.id == Request.deployment_id)
        .group_by(Deployment.public_id, Request.status, Request.error_code)
    )
    found = rows.all()
    total = sum(row[3] for row in found)
    if not total:
        return []
    where = " on the deployments in scope" if request.scope.deployment_ids else ""
    which = f"the newest {SAMPLE} requests" if total == SAMPLE else f"all {format_count(total, 'request')}"
    head = f"{which} of {format_name(user.public_id)}{where} in the window"
    return [
        _outcomes(head, found, total),
        Fact(f"{head} by deployment: {_shares(found, 0, total)}", "", 0.65, kind="user breakdowns"),
    ]


def _outcomes(head: str, rows: Sequence[Any], total: int) -> Fact:
    """How many failed, and of what."""
    codes: Counter[str] = Counter()
    for _, status, code, number in rows:
        if status in FAILED_STATUSES:
            codes[f"{status} {format_name(code)}" if code else status] += number
    failed = codes.total()
    ranked = sorted(codes.items(), key=lambda item: (-item[1], item[0]))
    kinds = ", ".join(f"{code} {number:,}" for code, number in ranked[:MAX_NAMES])
    short = f"{head}: {failed:,} of {format_count(total, 'request')} failed ({format_percent(failed, total)})"
    return Fact(
        f"{short}: {kinds}" if failed else short,
        short if failed else "",
        0.7 + (0.25 if failed >= _MANY_FAILED * total else 0),
        _FAILING,
        "user breakdowns",
    )


def _shares(rows: Sequence[Any], column: int, total: int) -> str:
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row[column]] += row[3]
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [
        f"{format_name(name)} {number:,} ({format_percent(number, total)})"
        for name, number in ranked[:MAX_NAMES]
    ]
    rest = f" and {len(ranked) - MAX_NAMES:,} more" if len(ranked) > MAX_NAMES else ""
    return f"{', '.join(shown)}{rest}"


source = ContextSource("activity", "U", frozenset({Topic.VOLUME, Topic.COST, Topic.CHANGES}), 3.0, read)
