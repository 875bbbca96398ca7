"""What was recorded around an incident, each event with the row that says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import ColumnElement, and_, func, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute

from context_builder.postmortems.affected import AffectedDeployments, request_about
from context_builder.question.request import ContextRequest, Window
from context_builder.telemetry.event_scope import event_scope
from context_builder.telemetry.log_templates import templates_of
from context_builder.text.formatting import format_name
from context_builder.text.sanitize import quote
from models import (
    AuditEvent,
    ConfigChange,
    Deployment,
    DeploymentStatus,
    ErrorLog,
    Incident,
    Job,
    JobStatus,
    LogSeverity,
    Notification,
    NotificationStatus,
    StateTransition,
)
from models.database import ReadSession
from models.tables.schema import UtcDateTime

MAX_OF_A_KIND = 20
"""Rows of each table that are read; of log lines as many kinds."""
MAX_LOG_LINES = 500
_MAX_CHARACTERS = 400
_RECORDED_ELSEWHERE = ("config.", "job.", "rollout.", "auth.", "login", "session.")
"""Audited actions that have a row of their own, or change nothing."""

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True, order=True)
class Event:
    """Something that happened at one moment."""

    at: datetime
    kind: str
    """`start`, `end`, `config`, `job`, `audit`, `state`, `log` or `alert`."""
    text: str
    """What happened, without when."""
    ref: str
    """The row that says so: `config_changes:17`."""
    is_bad: bool = False
    """Whether it tells that something is wrong."""


@dataclass(frozen=True, slots=True)
class Events:
    """Events in time order."""

    found: tuple[Event, ...]
    cut: tuple[str, ...] = ()
    """Kinds of rows of which there are more than were read."""


def lifetime(incident: Incident, resolved_at: datetime) -> tuple[Event, Event]:
    """The incident's own start and end."""
    ref = f"incidents:{incident.id}"
    what = f"incident {format_name(incident.public_id)} ({incident.severity})"
    started = Event(incident.started_at, "start", f"{what} started: {quote(incident.title)}", ref)
    return started, Event(resolved_at, "end", f"{what} was resolved", ref)


async def read_events(
    session: ReadSession, incident: Incident, hit: AffectedDeployments, window: Window
) -> Events:
    """The events of the window, its end included, on what the incident hit and on the gateway as a whole."""
    request = request_about(hit, window)
    readings = [
        await _config_changes(session, request),
        await _jobs(session, request),
        await _audit_events(session, request),
        await _transitions(session, request),
        await _notifications(session, request, incident),
        await _log_lines(session, request, hit),
    ]
    found = sorted(event for reading in readings for event in reading.found)
    return Events(tuple(found), tuple(what for reading in readings for what in reading.cut))


async def read_changes(session: ReadSession, hit: AffectedDeployments, window: Window) -> tuple[Event, ...]:
    """Configuration changes, jobs and audited actions of the window, the newest of each kind."""
    request = request_about(hit, window)
    readings = [
        await _config_changes(session, request, newest=True),
        await _jobs(session, request, newest=True),
        await _audit_events(session, request, newest=True),
    ]
    return tuple(sorted(event for reading in readings for event in reading.found))


def _in(
    column: InstrumentedAttribute[datetime] | ColumnElement[datetime], window: Window
) -> ColumnElement[bool]:
    return and_(column >= window.start, column <= window.end)


def _bounded(rows: Sequence[_Row], what: str, event: Callable[[_Row], Event]) -> Events:
    cut = (what,) if len(rows) > MAX_OF_A_KIND else ()
    return Events(tuple(event(row) for row in rows[:MAX_OF_A_KIND]), cut)


async def _config_changes(session: ReadSession, request: ContextRequest, *, newest: bool = False) -> Events:
    at = ConfigChange.changed_at
    rows = await session.scalars(
        select(ConfigChange)
        .where(_in(at, request.window), event_scope(ConfigChange, request))
        .order_by(at.desc() if newest else at, ConfigChange.id)
        .limit(MAX_OF_A_KIND + 1)
    )

    def event(row: ConfigChange) -> Event:
        old = "not set" if row.old_value is None else quote(row.old_value, limit=80)
        new = "removed" if row.new_value is None else quote(row.new_value, limit=80)
        text = f"{format_name(row.changed_by)} changed {format_name(row.parameter)} of {format_name(row.target)}: {old} -> {new}"
        return Event(row.changed_at, "config", text, f"config_changes:{row.id}")

    return _bounded(rows.all(), "configuration changes", event)


async def _jobs(session: ReadSession, request: ContextRequest, *, newest: bool = False) -> Events:
    """Their beginnings, and the ends of those that did not succeed."""
    at = func.coalesce(Job.started_at, Job.created_at, type_=UtcDateTime)
    rows = await session.scalars(
        select(Job)
        .where(_in(at, request.window), event_scope(Job, request))
        .order_by(at.desc() if newest else at, Job.id)
        .limit(MAX_OF_A_KIND + 1)
    )

    def event(row: Job) -> Event:
        what = f"{row.type.replace('_', ' ')} {format_name(row.public_id)} of {format_name(row.target)}"
        detail = f" ({quote(row.detail, limit=120)})" if row.detail else ""
        is_over = row.finished_at is not None and row.finished_at <= request.as_of
        failed = is_over and row.status == JobStatus.FAILED
        error = f", which failed: {quote(row.error or 'no reason given', limit=120)}" if failed else ""
        return Event(
            row.started_at or row.created_at, "job", f"{what} began{detail}{error}", f"jobs:{row.id}", failed
        )

    return _bounded(rows.all(), "jobs", event)


async def _audit_events(session: ReadSession, request: ContextRequest, *, newest: bool = False) -> Events:
    recorded = or_(*(AuditEvent.action.startswith(prefix, autoescape=True) for prefix in _RECORDED_ELSEWHERE))
    at = AuditEvent.occurred_at
    rows = await session.scalars(
        select(AuditEvent)
        .where(_in(at, request.window), ~recorded, event_scope(AuditEvent, request))
        .order_by(at.desc() if newest else at, AuditEvent.id)
        .limit(MAX_OF_A_KIND + 1)
    )

    def event(row: AuditEvent) -> Event:
        detail = f": {quote(row.detail, limit=120)}" if row.detail else ""
        text = f"{format_name(row.actor)} did {format_name(row.action)} on {format_name(row.target)}{detail}"
        return Event(row.occurred_at, "audit", text, f"audit_events:{row.id}")

    return _bounded(rows.all(), "audited actions", event)


async def _transitions(session: ReadSession, request: ContextRequest) -> Events:
    ids = request.scope.deployment_ids
    rows = await session.execute(
        select(StateTransition, Deployment.public_id)
        .join(Deployment, Deployment.id == StateTransition.deployment_id)
        .where(
            _in(StateTransition.changed_at, request.window),
            StateTransition.deployment_id.in_(ids) if ids else true(),
        )
        .order_by(StateTransition.changed_at, StateTransition.id)
        .limit(MAX_OF_A_KIND + 1)
    )

    def event(row: tuple[StateTransition, str]) -> Event:
        change, deployment = row
        reason = f": {quote(change.reason, limit=120)}" if change.reason else ""
        text = f"{format_name(deployment)} went from {change.from_status} to {change.to_status}{reason}"
        is_bad = change.to_status in (DeploymentStatus.DOWN, DeploymentStatus.DEGRADED)
        return Event(change.changed_at, "state", text, f"state_transitions:{change.id}", is_bad)

    return _bounded([(row[0], row[1]) for row in rows], "state transitions", event)


async def _notifications(session: ReadSession, request: ContextRequest, incident: Incident) -> Events:
    ids = request.scope.deployment_ids
    about = or_(
        Notification.incident_id == incident.id,
        and_(Notification.incident_id.is_(None), Notification.deployment_id.in_(ids)),
    )
    rows = await session.scalars(
        select(Notification)
        .where(_in(Notification.created_at, request.window), about)
        .order_by(Notification.created_at, Notification.id)
        .limit(MAX_OF_A_KIND + 1)
    )

    def event(row: Notification) -> Event:
        got_through = row.status == NotificationStatus.SENT
        how = "alerted" if got_through else "could not alert"
        why = f" ({quote(row.error, limit=120)})" if row.error and not got_through else ""
        text = f"{format_name(row.provider)} {how} {format_name(row.channel)}: {quote(row.subject, limit=160)}{why}"
        return Event(row.created_at, "alert", text, f"notifications:{row.id}", got_through)

    return _bounded(rows.all(), "notifications", event)


async def _log_lines(session: ReadSession, request: ContextRequest, hit: AffectedDeployments) -> Events:
    """The first line of each kind, among the first lines of the window; those of what was hit tell of it."""
    rows = await session.execute(
        select(ErrorLog.id, ErrorLog.logged_at, ErrorLog.severity, ErrorLog.target, _beginning())
        .where(_in(ErrorLog.logged_at, request.window), event_scope(ErrorLog, request))
        .order_by(ErrorLog.logged_at, ErrorLog.id)
        .limit(MAX_LOG_LINES + 1)
    )
    lines = rows.all()
    templates = await asyncio.to_thread(templates_of, {line.message for line in lines})
    first: dict[tuple[str, str], Event] = {}
    for line in lines[:MAX_LOG_LINES]:
        text = f"{format_name(line.target)} first logged {line.severity}: {quote(line.message, limit=160)}"
        is_bad = line.severity != LogSeverity.WARNING and (not hit.names or line.target in hit.names)
        event = Event(line.logged_at, "log", text, f"error_logs:{line.id}", is_bad)
        first.setdefault((line.target, templates[line.message]), event)
    is_cut = len(lines) > MAX_LOG_LINES or len(first) > MAX_OF_A_KIND
    return Events(tuple(first.values())[:MAX_OF_A_KIND], ("error log lines",) if is_cut else ())


def _beginning() -> ColumnElement[str]:
    return func.substr(ErrorLog.message, 1, _MAX_CHARACTERS).label("message")
