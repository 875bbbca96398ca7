"""What has come in of each kind, how long ago, and what was rejected."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute

from api.cli.doctor.finding import Finding, ok, problem, warning
from context_builder.text.clock import utc_now
from context_builder.text.formatting import format_count, format_time
from models import (
    AuditEvent,
    ConfigChange,
    ErrorLog,
    HealthCheck,
    Incident,
    IngestReject,
    Job,
    Notification,
    QualityScore,
    Request,
    UserAction,
)
from models.database import Database

_NEWEST: Mapping[str, InstrumentedAttribute[datetime]] = {
    "requests": Request.created_at,
    "health": HealthCheck.checked_at,
    "errors": ErrorLog.logged_at,
    "incidents": Incident.started_at,
    "changes": ConfigChange.changed_at,
    "jobs": Job.created_at,
    "audit": AuditEvent.occurred_at,
    "notifications": Notification.created_at,
    "activity": UserAction.occurred_at,
    "quality": QualityScore.scored_at,
}
"""The time of what each kind becomes."""
_STEADY = {"requests": timedelta(hours=1), "health": timedelta(hours=1)}
"""Kinds that never pause for so long in a gateway that is in use."""
_MAX_AHEAD = timedelta(minutes=10)
_CONNECT = "docs/connect.md has five lines for each system"
_OF_REJECTS = timedelta(days=1)


async def check_ways(database: Database) -> AsyncIterator[Finding]:
    """Report the newest event of each kind."""
    now = utc_now()
    silent = []
    for kind, column in _NEWEST.items():
        async with database.read() as session:
            newest = await session.scalar(select(func.max(column)))
        if newest is None:
            silent.append(kind)
            continue
        text = f"the newest is of {format_time(newest)} UTC"
        if newest > now + _MAX_AHEAD:
            yield problem(kind, f"{text}, in the future", "let the sender's clock follow NTP")
        elif kind in _STEADY and newest < now - _STEADY[kind]:
            text += f", {_age(now - newest)} ago"
            yield warning(kind, text, f"see whether the sender runs, and what it is answered; {_CONNECT}")
        else:
            yield ok(kind, text)
    if "requests" in silent:
        yield warning("requests", "none has ever come", f"connect the gateway: {_CONNECT}")
    if rest := [kind for kind in silent if kind != "requests"]:
        yield ok("ways in", f"nothing has come of {', '.join(rest)}; answers do without")


async def check_rejects(database: Database) -> AsyncIterator[Finding]:
    """Report what was rejected of late, by the way that it came, with an example."""
    since = utc_now() - _OF_REJECTS
    newest = (
        select(IngestReject.source, func.count().label("rows"), func.max(IngestReject.id).label("last"))
        .where(IngestReject.received_at >= since)
        .group_by(IngestReject.source)
        .subquery()
    )
    statement = select(newest.c.source, newest.c.rows, IngestReject.field, IngestReject.reason).join(
        IngestReject, IngestReject.id == newest.c.last
    )
    async with database.read() as session:
        found = (await session.execute(statement.order_by(newest.c.source))).all()
    for source, rows, field, reason in found:
        text = f"{format_count(rows, 'item')} rejected since yesterday, the last one for {field}: {reason}"
        fix = "correct the sender; the table ingest_rejects has the items, docs/ingest.md what is accepted"
        yield warning(f"rejects of {source}", text, fix)
    if not found:
        yield ok("rejects", "none since yesterday")


def _age(age: timedelta) -> str:
    hours = age / timedelta(hours=1)
    return f"{hours / 24:.0f} days" if hours > 48 else f"{hours:.0f} h"  # noqa: PLR2004  readable either way
