"""Change events: what was done to the gateway, or happened to it, near some moments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from context_builder.question.request import ContextRequest, Window
from context_builder.question.time_phrases import floor_to_minute
from context_builder.telemetry.rollups import rollup_scope
from context_builder.text.fact_keys import change_key, job_key
from context_builder.text.formatting import format_name, format_time
from context_builder.text.sanitize import quote
from models import (
    AuditEvent,
    ConfigChange,
    Deployment,
    DeploymentStatus,
    Incident,
    Job,
    MaintenanceWindow,
    RequestRollup,
    Resolution,
    StateTransition,
)
from models.database import ReadSession
from models.tables.schema import UtcDateTime

BEFORE = timedelta(hours=6)
"""A cause is looked for in so much time before an onset."""
AFTER = timedelta(hours=1)
_HOUR = timedelta(hours=1)
MAX_OF_A_KIND = 40
"""Near all moments together; the nearest of them are told."""
_RECORDED_ELSEWHERE = ("config.", "job.", "rollout.", "auth.", "login", "session.")
"""Audited actions that have a row of their own, or change nothing."""
_WEIGHTS = {
    "config": 1.0,
    "job": 1.0,
    "version": 0.95,
    "maintenance": 0.9,
    "log": 0.95,
    "outage": 0.95,
    "state": 0.7,
    "audit": 0.6,
    "incident": 0.7,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened at one moment."""

    at: datetime
    kind: str
    text: str
    """What happened, without when."""
    target: str
    """What it happened to."""
    key: str = ""
    """As in `Fact`."""

    @property
    def weight(self) -> float:
        """How likely such an event is to be a cause, in [0, 1]: a change more than a symptom."""
        return _WEIGHTS[self.kind]


def spans_around(moments: Iterable[tuple[datetime, datetime]], request: ContextRequest) -> list[Window]:
    """The time around each onset, given by its first and last possible moment; never after `as_of`."""
    ends = request.as_of + timedelta(microseconds=1)
    return [Window(first - BEFORE, min(last + AFTER, ends)) for first, last in moments]


async def events_in(session: ReadSession, request: ContextRequest, spans: Sequence[Window]) -> list[Event]:
    """Change events within any of the spans, oldest first.

    Those of deployments that are not asked about, too: what happened elsewhere at an onset may be its cause.
    """
    near = _near(spans)
    events = [
        *await _config_changes(session, near),
        *await _jobs(session, request, near),
        *await _audit_events(session, near),
        *await _transitions(session, near),
        *await _incidents(session, near),
        *await _maintenance(session, request, near),
        *await _router_versions(session, request, spans),
    ]
    return sorted(events, key=lambda event: (event.at, event.kind, event.text))


Moments = InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None]
Near = Callable[[Moments], ColumnElement[bool]]
"""Whether a column's moment lies in one of the spans."""


def _near(spans: Sequence[Window]) -> Near:
    def condition(column: Moments) -> ColumnElement[bool]:
        return or_(*(and_(column >= span.start, column < span.end) for span in spans))

    return condition


async def _config_changes(session: ReadSession, near: Near) -> list[Event]:
    rows = await session.scalars(
        select(ConfigChange)
        .where(near(ConfigChange.changed_at))
        .order_by(ConfigChange.changed_at.desc(), ConfigChange.id.desc())
        .limit(MAX_OF_A_KIND)
    )
    return [
        Event(
            at=row.changed_at,
            kind="config",
            text=f"{format_name(row.parameter)} of {format_name(row.target)} was changed, {_step(row)}, "
            f"by {format_name(row.changed_by)}",
            target=row.target,
            key=change_key(row.target, row.changed_at),
        )
        for row in rows
    ]


def _step(row: ConfigChange) -> str:
    old = "not set" if row.old_value is None else quote(row.old_value, limit=80)
    new = "removed" if row.new_value is None else quote(row.new_value, limit=80)
    return f"{old} -> {new}"


async def _jobs(session: ReadSession, request: ContextRequest, near: Near) -> list[Event]:
    """Their beginning; a job that ended is as likely a cause at its end, so the end is told with it."""
    rows = await session.scalars(
        select(Job)
        .where(near(Job.started_at))
        .order_by(Job.started_at.desc(), Job.id.desc())
        .limit(MAX_OF_A_KIND)
    )
    events = []
    for row in rows:
        over = row.finished_at is not None and row.finished_at <= request.as_of
        end = (
            f", {row.status} {format_time(row.finished_at)}" if over and row.finished_at else ", not finished"
        )
        detail = f" ({quote(row.detail, limit=120)})" if row.detail else ""
        error = f": {quote(row.error, limit=120)}" if row.error and over else ""
        what = f"{row.type.replace('_', ' ')} {format_name(row.public_id)} of {format_name(row.target)}"
        text = f"{what} began{detail}{end}{error}"
        at = row.started_at or row.created_at
        events.append(Event(at=at, kind="job", text=text, target=row.target, key=job_key(row.public_id)))
    return events


async def _audit_events(session: ReadSession, near: Near) -> list[Event]:
    recorded = or_(*(AuditEvent.action.startswith(prefix, autoescape=True) for prefix in _RECORDED_ELSEWHERE))
    rows = await session.scalars(
        select(AuditEvent)
        .where(near(AuditEvent.occurred_at), ~recorded)
        .order_by(AuditEvent.occurred_at.desc(), AuditEvent.id.desc())
        .limit(MAX_OF_A_KIND)
    )
    return [
        Event(
            at=row.occurred_at,
            kind="audit",
            text=f"{format_name(row.actor)} did {format_name(row.action)} on {format_name(row.target)}"
            + (f": {quote(row.detail, limit=120)}" if row.detail else ""),
            target=row.target,
        )
        for row in rows
    ]


async def _transitions(session: ReadSession, near: Near) -> list[Event]:
    rows = await session.execute(
        select(StateTransition, Deployment.public_id)
        .join(Deployment, Deployment.id == StateTransition.deployment_id)
        .where(near(StateTransition.changed_at))
        .order_by(StateTransition.changed_at.desc(), StateTransition.id.desc())
        .limit(MAX_OF_A_KIND)
    )
    return [
        Event(
            at=row.changed_at,
            kind="outage" if row.to_status == DeploymentStatus.DOWN else "state",
            text=f"{format_name(deployment)} went from {row.from_status} to {row.to_status}"
            + (f": {quote(row.reason, limit=120)}" if row.reason else ""),
            target=deployment,
        )
        for row, deployment in rows
    ]


async def _incidents(session: ReadSession, near: Near) -> list[Event]:
    rows = await session.scalars(
        select(Incident)
        .where(near(Incident.started_at))
        .order_by(Incident.started_at.desc(), Incident.id.desc())
        .limit(MAX_OF_A_KIND)
    )
    return [
        Event(
            at=row.started_at,
            kind="incident",
            text=f"incident {format_name(row.public_id)} began: {quote(row.title, limit=160)}",
            target=row.target or "",
        )
        for row in rows
    ]


async def _maintenance(session: ReadSession, request: ContextRequest, near: Near) -> list[Event]:
    rows = await session.scalars(
        select(MaintenanceWindow)
        .where(
            near(MaintenanceWindow.starts_at),
            MaintenanceWindow.announced_at <= request.as_of,
        )
        .order_by(MaintenanceWindow.starts_at.desc(), MaintenanceWindow.id.desc())
        .limit(MAX_OF_A_KIND)
    )
    return [
        Event(
            at=row.starts_at,
            kind="maintenance",
            text=f"announced maintenance of {format_name(row.backend)} began, until {format_time(row.ends_at)}: "
            f"{quote(row.reason, limit=120)}",
            target=row.backend,
        )
        for row in rows
    ]


async def _router_versions(
    session: ReadSession, request: ContextRequest, spans: Sequence[Window]
) -> list[Event]:
    """Router versions that were first seen in one of the spans."""
    if not spans:
        return []
    scope = await rollup_scope(session, request)
    first = func.min(RequestRollup.bucket_start, type_=UtcDateTime)
    oldest = min(span.start for span in spans) - timedelta(days=7)
    seen = [
        (row[0], row[1])
        for row in await session.execute(
            select(RequestRollup.router_version, first)
            .where(
                RequestRollup.resolution == Resolution.HOUR,
                RequestRollup.bucket_start >= oldest,
                RequestRollup.bucket_start < max(span.end for span in spans),
                RequestRollup.router_version != "",
                scope.condition,
            )
            .group_by(RequestRollup.router_version)
        )
    ]
    # The oldest version known was there before anything that is looked at.
    known_since = min((hour for _, hour in seen), default=None)
    events = []
    for version, hour in seen:
        if hour == known_since or not any(span.start < hour + _HOUR and hour < span.end for span in spans):
            continue
        at = await session.scalar(
            select(first).where(
                RequestRollup.resolution == Resolution.MINUTE,
                RequestRollup.bucket_start >= hour,
                RequestRollup.bucket_start < min(hour + _HOUR, floor_to_minute(request.as_of)),
                RequestRollup.router_version == version,
                scope.condition,
            )
        )
        # It may have come before or after the spans in that hour, even after `as_of`.
        if at is None or not any(span.start <= at < span.end for span in spans):
            continue
        text = f"router version {format_name(version)} was first seen"
        events.append(Event(at=at, kind="version", text=text, target="router"))
    return events
