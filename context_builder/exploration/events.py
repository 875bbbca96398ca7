"""Events: what was done to the gateway or happened to it, each with the row that records it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVarTuple

from sqlalchemy import ColumnElement, Select, and_, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute

from context_builder.question.request import ContextRequest, Window
from context_builder.question.times.bounds import floor_to_minute
from context_builder.rollups.rows import Groups, Rows
from context_builder.rollups.scope import rollup_scope
from context_builder.rollups.span import by_hour, by_minute, moment_of
from context_builder.rollups.store import Rollups
from context_builder.rollups.table import REQUESTS
from context_builder.telemetry.event_scope import TargetedTable, event_scope
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
    JobStatus,
    MaintenanceWindow,
    StateTransition,
)
from models.database import ReadSession

BEFORE = timedelta(hours=6)
"""How long before an onset a cause is looked for."""
AFTER = timedelta(hours=1)
"""How long after it."""
MAX_EVENTS_PER_KIND = 40
"""Near all onsets together."""

_HOUR = timedelta(hours=1)
_RECORDED_ELSEWHERE = ("config.", "job.", "rollout.", "auth.", "login", "session.")
"""Prefixes of audited actions that have a row of their own, or change nothing."""
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
    target: str = ""
    """What it happened to."""
    key: str = ""
    """As in `Fact`."""
    ref: str = ""
    """The row that records it, such as `config_changes:17`."""
    is_bad: bool = False
    """True if it shows that something is wrong."""
    row: ConfigChange | Job | None = field(default=None, compare=False, repr=False)

    @property
    def weight(self) -> float:
        """How likely such an event is to be a cause, in [0, 1]: a change more than a symptom."""
        return _WEIGHTS[self.kind]

    @property
    def sort_key(self) -> tuple[datetime, str, str, str]:
        """Time order; ties are broken in a fixed way."""
        return self.at, self.kind, self.text, self.ref


Moments = InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None]
Near = Callable[[Moments], ColumnElement[bool]]
"""The condition that a column's moment lies in the time to read."""
_Columns = TypeVarTuple("_Columns")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """Which events to read from each table."""

    near: Near
    as_of: datetime
    """What happened later is not known."""
    scope: ContextRequest | None = None
    """Whose deployments' events are read; None: those of all."""
    newest_first: bool = True
    """Which events are left out if there are more than `limit`."""
    limit: int = MAX_EVENTS_PER_KIND

    def ordered(
        self, statement: Select[*_Columns], at: Moments, number: InstrumentedAttribute[int]
    ) -> Select[*_Columns]:
        """Restrict a statement to the events of this query."""
        order = (at.desc(), number.desc()) if self.newest_first else (at, number)
        return statement.where(self.near(at)).order_by(*order).limit(self.limit)

    def in_scope(self, table: TargetedTable) -> ColumnElement[bool]:
        """Return the condition for rows of the scope."""
        return true() if self.scope is None else event_scope(table, self.scope)


def spans_around(moments: Iterable[tuple[datetime, datetime]], request: ContextRequest) -> list[Window]:
    """Return the time around each onset, given by its first and last possible moment; never after `as_of`."""
    ends = request.as_of + timedelta(microseconds=1)
    return [Window(first - BEFORE, min(last + AFTER, ends)) for first, last in moments]


async def events_in(rollups: Rollups, request: ContextRequest, spans: Sequence[Window]) -> list[Event]:
    """Return the change events within any of the spans, oldest first.

    Includes deployments that are not asked about: what happened elsewhere at an onset may be its cause.
    """
    query = EventQuery(near=_near(spans), as_of=request.as_of)
    async with rollups.snapshot.session() as session:
        events = [
            *await config_changes(session, query),
            *await jobs(session, query),
            *await audit_events(session, query),
            *await transitions(session, query),
            *await _incidents(session, query),
            *await _maintenance(session, query),
        ]
    events += await _router_versions(rollups, request, spans)
    return sorted(events, key=lambda event: event.sort_key)


def _near(spans: Sequence[Window]) -> Near:
    def condition(column: Moments) -> ColumnElement[bool]:
        return or_(*(and_(column >= span.start, column < span.end) for span in spans))

    return condition


async def config_changes(session: ReadSession, query: EventQuery) -> list[Event]:
    """Return configuration changes."""
    statement = select(ConfigChange).where(query.in_scope(ConfigChange))
    rows = await session.scalars(query.ordered(statement, ConfigChange.changed_at, ConfigChange.id))
    return [
        Event(
            at=row.changed_at,
            kind="config",
            text=f"{format_name(row.parameter)} of {format_name(row.target)} was changed, "
            f"{change_text(row)}, by {format_name(row.changed_by)}",
            target=row.target,
            key=change_key(row.target, row.changed_at),
            ref=f"config_changes:{row.id}",
            row=row,
        )
        for row in rows
    ]


def change_text(row: ConfigChange) -> str:
    """Return the old and the new value of a parameter."""
    old = "not set" if row.old_value is None else quote(row.old_value, limit=80)
    new = "removed" if row.new_value is None else quote(row.new_value, limit=80)
    return f"{old} -> {new}"


async def jobs(session: ReadSession, query: EventQuery) -> list[Event]:
    """Return the starts of jobs; the end is part of the text, since it is as likely to be a cause."""
    statement = select(Job).where(query.in_scope(Job))
    rows = await session.scalars(query.ordered(statement, Job.started_at, Job.id))
    events = []
    for row in rows:
        over = row.finished_at is not None and row.finished_at <= query.as_of
        end = (
            f", {row.status} {format_time(row.finished_at)}" if over and row.finished_at else ", not finished"
        )
        error = f": {quote(row.error, limit=120)}" if row.error and over else ""
        events.append(
            Event(
                at=row.started_at or row.created_at,
                kind="job",
                text=f"{start_text(row)}{end}{error}",
                target=row.target,
                key=job_key(row.public_id),
                ref=f"jobs:{row.id}",
                is_bad=over and row.status == JobStatus.FAILED,
                row=row,
            )
        )
    return events


def start_text(row: Job) -> str:
    """Say that a job began."""
    detail = f" ({quote(row.detail, limit=120)})" if row.detail else ""
    what = f"{row.type.replace('_', ' ')} {format_name(row.public_id)} of {format_name(row.target)}"
    return f"{what} began{detail}"


async def audit_events(session: ReadSession, query: EventQuery) -> list[Event]:
    """Return audited actions that have no other row of their own."""
    recorded = or_(*(AuditEvent.action.startswith(prefix, autoescape=True) for prefix in _RECORDED_ELSEWHERE))
    statement = select(AuditEvent).where(~recorded, query.in_scope(AuditEvent))
    rows = await session.scalars(query.ordered(statement, AuditEvent.occurred_at, AuditEvent.id))
    return [
        Event(
            at=row.occurred_at,
            kind="audit",
            text=f"{format_name(row.actor)} did {format_name(row.action)} on {format_name(row.target)}"
            + (f": {quote(row.detail, limit=120)}" if row.detail else ""),
            target=row.target,
            ref=f"audit_events:{row.id}",
        )
        for row in rows
    ]


async def transitions(session: ReadSession, query: EventQuery) -> list[Event]:
    """Return changes of deployments' states."""
    ids = query.scope.scope.deployment_ids if query.scope else ()
    statement = (
        select(StateTransition, Deployment.public_id)
        .join(Deployment, Deployment.id == StateTransition.deployment_id)
        .where(StateTransition.deployment_id.in_(ids) if ids else true())
    )
    rows = await session.execute(query.ordered(statement, StateTransition.changed_at, StateTransition.id))
    return [
        Event(
            at=row.changed_at,
            kind="outage" if row.to_status == DeploymentStatus.DOWN else "state",
            text=f"{format_name(deployment)} went from {row.from_status} to {row.to_status}"
            + (f": {quote(row.reason, limit=120)}" if row.reason else ""),
            target=deployment,
            ref=f"state_transitions:{row.id}",
            is_bad=row.to_status in (DeploymentStatus.DOWN, DeploymentStatus.DEGRADED),
        )
        for row, deployment in rows
    ]


async def _incidents(session: ReadSession, query: EventQuery) -> list[Event]:
    rows = await session.scalars(query.ordered(select(Incident), Incident.started_at, Incident.id))
    return [
        Event(
            at=row.started_at,
            kind="incident",
            text=f"incident {format_name(row.public_id)} began: {quote(row.title, limit=160)}",
            target=row.target or "",
        )
        for row in rows
    ]


async def _maintenance(session: ReadSession, query: EventQuery) -> list[Event]:
    statement = select(MaintenanceWindow).where(MaintenanceWindow.announced_at <= query.as_of)
    rows = await session.scalars(query.ordered(statement, MaintenanceWindow.starts_at, MaintenanceWindow.id))
    return [
        Event(
            at=row.starts_at,
            kind="maintenance",
            text=f"announced maintenance of {format_name(row.backend)} began, "
            f"until {format_time(row.ends_at)}: {quote(row.reason, limit=120)}",
            target=row.backend,
        )
        for row in rows
    ]


async def _router_versions(rollups: Rollups, request: ContextRequest, spans: Sequence[Window]) -> list[Event]:
    """Return the router versions that were first seen in one of the spans."""
    if not spans:
        return []
    scope = await rollup_scope(rollups, request)
    oldest, end = min(span.start for span in spans) - timedelta(days=7), max(span.end for span in spans)
    rows = scope.of(await rollups.read(REQUESTS, *by_hour(_next_hour(oldest), _next_hour(end))))
    seen = _first_seen(rows)
    # The oldest known version was there before the spans.
    known_since = min(seen.values(), default=None)
    events = []
    for version, hour in seen.items():
        if hour == known_since or not any(span.start < hour + _HOUR and hour < span.end for span in spans):
            continue
        minutes = Window(hour, min(hour + _HOUR, floor_to_minute(request.as_of)))
        at = _first_seen(scope.of(await rollups.read(REQUESTS, *by_minute(minutes)))).get(version)
        # In that hour it may have come before or after the spans, even after `as_of`.
        if at is None or not any(span.start <= at < span.end for span in spans):
            continue
        text = f"router version {format_name(version)} was first seen"
        events.append(Event(at=at, kind="version", text=text, target="router"))
    return events


def _first_seen(rows: Rows) -> dict[str, datetime]:
    """Return when each router version was first seen."""
    versions, places = rows.labels("router_version")
    groups = Groups(places)
    first = zip(places[groups.first].tolist(), groups.min(rows["start"]).tolist(), strict=True)
    return {versions[place]: moment_of(start) for place, start in first if versions[place]}


def _next_hour(moment: datetime) -> datetime:
    """Return the first start of an hour that is not before a moment."""
    hour = moment.replace(minute=0, second=0, microsecond=0)
    return hour + timedelta(hours=hour < moment)
