"""What was recorded around an incident, each event with the row that records it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_, select

from context_builder.exploration.events import (
    Event,
    EventQuery,
    Moments,
    audit_events,
    change_text,
    config_changes,
    jobs,
    start_text,
    transitions,
)
from context_builder.postmortems.affected import AffectedDeployments, request_about
from context_builder.question.request import Window
from context_builder.telemetry.log_templates import templates_of
from context_builder.text.formatting import format_name
from context_builder.text.sanitize import quote
from models import ConfigChange, ErrorLog, Incident, Job, LogSeverity, Notification, NotificationStatus
from models.database import ReadSession

MAX_EVENTS_PER_KIND = 20
"""Events read from each table; for log lines the number of distinct templates."""
MAX_LOG_LINES = 500
_MAX_MESSAGE_CHARACTERS = 400

_Reader = Callable[[ReadSession, EventQuery], Awaitable[list[Event]]]


@dataclass(frozen=True, slots=True)
class RecordedEvents:
    """Events in time order."""

    found: tuple[Event, ...]
    cut: tuple[str, ...] = ()
    """Kinds of which more are recorded than were read."""


def lifetime(incident: Incident, resolved_at: datetime) -> tuple[Event, Event]:
    """Return the start and the end of the incident as events."""
    ref = f"incidents:{incident.id}"
    what = f"incident {format_name(incident.public_id)} ({incident.severity})"
    started = f"{what} started: {quote(incident.title)}"
    return (
        Event(at=incident.started_at, kind="start", text=started, ref=ref),
        Event(at=resolved_at, kind="end", text=f"{what} was resolved", ref=ref),
    )


async def load_events(
    session: ReadSession, incident: Incident, affected: AffectedDeployments, window: Window
) -> RecordedEvents:
    """Load the events of the window, its end included, of the affected deployments and the whole gateway."""

    async def notifications(session: ReadSession, query: EventQuery) -> list[Event]:
        return await _notifications(session, query, incident, affected)

    query = _query(affected, window)
    readers = {
        "configuration changes": config_changes,
        "jobs": jobs,
        "audited actions": audit_events,
        "state transitions": transitions,
        "notifications": notifications,
    }
    recorded = await _load(session, query, readers)
    logged = await _log_lines(session, query, affected)
    found = sorted([*recorded.found, *logged.found], key=lambda event: event.sort_key)
    return RecordedEvents(tuple(found), recorded.cut + logged.cut)


async def load_changes(
    session: ReadSession, affected: AffectedDeployments, window: Window
) -> tuple[Event, ...]:
    """Load configuration changes, jobs and audited actions of the window, the newest of each kind."""
    query = replace(_query(affected, window), newest_first=True)
    readers = {"configuration changes": config_changes, "jobs": jobs, "audited actions": audit_events}
    return (await _load(session, query, readers)).found


def _query(affected: AffectedDeployments, window: Window) -> EventQuery:
    def near(column: Moments) -> ColumnElement[bool]:
        return and_(column >= window.start, column <= window.end)

    scope = request_about(affected, window)
    # One more than is shown, to know whether there are more.
    return EventQuery(
        near=near, as_of=window.end, scope=scope, newest_first=False, limit=MAX_EVENTS_PER_KIND + 1
    )


async def _load(session: ReadSession, query: EventQuery, readers: Mapping[str, _Reader]) -> RecordedEvents:
    found: list[Event] = []
    cut: list[str] = []
    for what, read in readers.items():
        events = await read(session, query)
        found += [_reworded(event) for event in events[:MAX_EVENTS_PER_KIND]]
        if len(events) > MAX_EVENTS_PER_KIND:
            cut.append(what)
    return RecordedEvents(tuple(sorted(found, key=lambda event: event.sort_key)), tuple(cut))


def _reworded(event: Event) -> Event:
    """Word an event for a timeline, in which an outage is a change of state like any other."""
    if event.kind == "outage":
        return replace(event, kind="state")
    match event.row:
        case ConfigChange() as row:
            who, what = format_name(row.changed_by), format_name(row.parameter)
            text = f"{who} changed {what} of {format_name(row.target)}: {change_text(row)}"
        case Job() as row:
            failed = f", which failed: {quote(row.error or 'no reason given', limit=120)}"
            text = start_text(row) + (failed if event.is_bad else "")
        case _:
            return event
    return replace(event, text=text)


async def _notifications(
    session: ReadSession, query: EventQuery, incident: Incident, affected: AffectedDeployments
) -> list[Event]:
    about = or_(
        Notification.incident_id == incident.id,
        and_(Notification.incident_id.is_(None), Notification.deployment_id.in_(affected.deployment_ids)),
    )
    statement = select(Notification).where(about)
    rows = await session.scalars(query.ordered(statement, Notification.created_at, Notification.id))

    def event(row: Notification) -> Event:
        was_sent = row.status == NotificationStatus.SENT
        how = "alerted" if was_sent else "could not alert"
        why = f" ({quote(row.error, limit=120)})" if row.error and not was_sent else ""
        what = f"{format_name(row.channel)}: {quote(row.subject, limit=160)}{why}"
        text = f"{format_name(row.provider)} {how} {what}"
        return Event(
            at=row.created_at, kind="alert", text=text, ref=f"notifications:{row.id}", is_bad=was_sent
        )

    return [event(row) for row in rows]


async def _log_lines(
    session: ReadSession, query: EventQuery, affected: AffectedDeployments
) -> RecordedEvents:
    """Load the first line of each template, among the first lines of the window."""
    message = func.substr(ErrorLog.message, 1, _MAX_MESSAGE_CHARACTERS).label("message")
    statement = select(ErrorLog.id, ErrorLog.logged_at, ErrorLog.severity, ErrorLog.target, message)
    statement = statement.where(query.in_scope(ErrorLog))
    query = replace(query, limit=MAX_LOG_LINES + 1)
    lines = (await session.execute(query.ordered(statement, ErrorLog.logged_at, ErrorLog.id))).all()
    templates = await asyncio.to_thread(templates_of, {line.message for line in lines})
    first: dict[tuple[str, str], Event] = {}
    for line in lines[:MAX_LOG_LINES]:
        is_about = not affected.names or line.target in affected.names
        event = Event(
            at=line.logged_at,
            kind="log",
            text=f"{format_name(line.target)} first logged {line.severity}: {quote(line.message, limit=160)}",
            ref=f"error_logs:{line.id}",
            is_bad=line.severity != LogSeverity.WARNING and is_about,
        )
        first.setdefault((line.target, templates[line.message]), event)
    is_cut = len(lines) > MAX_LOG_LINES or len(first) > MAX_EVENTS_PER_KIND
    return RecordedEvents(tuple(first.values())[:MAX_EVENTS_PER_KIND], ("error log lines",) if is_cut else ())
