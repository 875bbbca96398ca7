"""Audit events: answers "who did what to the gateway, and when?".

Columns: actor, action, target, detail and time (UTC). Identical actions are one fact with a count. Events
that only record a configuration change or a job come last, with its key.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import and_, select

from context_builder.question.request import ContextRequest, Topic
from context_builder.source import ContextSource, Fact, Section, Shown, Status, Stores, by_importance
from context_builder.telemetry.event_scope import event_scope
from context_builder.telemetry.event_window import EventWindow, period_text, proximity, recent_window
from context_builder.telemetry.row_count import count_rows
from context_builder.text.fact_keys import change_key, job_key
from context_builder.text.formatting import format_count, format_name
from context_builder.text.sanitize import quote
from models import AuditEvent, ConfigChange, Job, JobType
from models.database import ReadSession

MAX_EVENTS_READ = 500
"""Newest events that are read; the others are only counted."""
MAX_FACTS = 40
SAME_CHANGE_WITHIN = timedelta(minutes=1)
"""An event this close to a configuration change or a new job on the same target records it."""
_MAX_ROWS = 1_000
_IMPORTANCE = 0.6
_RECORDED_IMPORTANCE = 0.2
_JOB_ACTIONS = frozenset({"job", *JobType})

RecordedKeys = dict[tuple[str, str], list[tuple[datetime, str]]]
"""Times and keys of configuration changes and jobs, by area (`config`, `job`) and target."""


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Return the newest events, identical ones grouped."""
    span = recent_window(request)
    condition = and_(span.contains(AuditEvent.occurred_at), event_scope(AuditEvent, request))
    async with stores.snapshot.session() as session:
        events = (
            await session.scalars(
                select(AuditEvent)
                .where(condition)
                .order_by(AuditEvent.occurred_at.desc(), AuditEvent.id.desc())
                .limit(MAX_EVENTS_READ)
            )
        ).all()
        total = await count_rows(session, AuditEvent, condition, read=len(events), limit=MAX_EVENTS_READ)
        recorded = await _load_recorded(session, events, request)
    if not events:
        return Section(f"no audit events {span}", status=Status.EMPTY)
    groups: defaultdict[tuple[str, ...], list[AuditEvent]] = defaultdict(list)
    for event in events:
        key = _recorded_key(event, recorded)
        groups[event.actor, event.action, event.target, event.detail or "", key].append(event)
    facts = by_importance(_fact(alike, key[-1], span) for key, alike in groups.items())
    return Section(_header(total, len(facts), span), facts[:MAX_FACTS])


def _header(total: int, different: int, span: EventWindow) -> str:
    read_part = f"; only the newest {MAX_EVENTS_READ} were read" if total > MAX_EVENTS_READ else ""
    listed = f"; {different:,} distinct, {MAX_FACTS} listed" if different > MAX_FACTS else ""
    return f"{format_count(total, 'audit event')} {span}{read_part}{listed}"


def _area(event: AuditEvent) -> str:
    """Return the area that an action's name belongs to: `config`, `job` or neither (empty)."""
    first = event.action.partition(".")[0]
    if first == "config":
        return first
    return "job" if first in _JOB_ACTIONS else ""


async def _load_recorded(
    session: ReadSession, events: Sequence[AuditEvent], request: ContextRequest
) -> RecordedKeys:
    """Load the configuration changes and jobs that these events may record."""
    recorded: RecordedKeys = defaultdict(list)
    changes = [event for event in events if _area(event) == "config"]
    if changes:
        rows = await session.execute(
            select(ConfigChange.target, ConfigChange.changed_at)
            .where(
                ConfigChange.target.in_(_targets(changes)),
                _span_of(changes, request).contains(ConfigChange.changed_at),
            )
            .order_by(ConfigChange.changed_at.desc(), ConfigChange.id.desc())
            .limit(_MAX_ROWS)
        )
        for target, changed_at in rows:
            recorded["config", target].append((changed_at, change_key(target, changed_at)))
    started = [event for event in events if _area(event) == "job"]
    if started:
        jobs = await session.execute(
            select(Job.target, Job.created_at, Job.public_id)
            .where(Job.target.in_(_targets(started)), _span_of(started, request).contains(Job.created_at))
            .order_by(Job.created_at.desc(), Job.id.desc())
            .limit(_MAX_ROWS)
        )
        for target, created_at, public_id in jobs:
            recorded["job", target].append((created_at, job_key(public_id)))
    return recorded


def _targets(events: Collection[AuditEvent]) -> list[str]:
    return sorted({event.target for event in events})


def _span_of(events: Sequence[AuditEvent], request: ContextRequest) -> EventWindow:
    """Return the span from just before the oldest event to just after the newest; events are newest first."""
    until = min(events[0].occurred_at + SAME_CHANGE_WITHIN, request.as_of) + timedelta(microseconds=1)
    return EventWindow(events[-1].occurred_at - SAME_CHANGE_WITHIN, until)


def _recorded_key(event: AuditEvent, recorded: RecordedKeys) -> str:
    """Return the key of the nearest row that the event records; empty if it records none."""
    rows = recorded.get((_area(event), event.target), ())
    distance, key = min(
        ((abs(event.occurred_at - at), key) for at, key in rows), default=(SAME_CHANGE_WITHIN, "")
    )
    return key if distance < SAME_CHANGE_WITHIN else ""


def _fact(alike: Sequence[AuditEvent], key: str, span: EventWindow) -> Fact:
    """Describe identical events as one fact; `alike` is sorted newest first."""
    event = alike[0]
    often = f" {len(alike):,} times" if len(alike) > 1 else ""
    when = period_text(alike[-1].occurred_at, event.occurred_at)
    action = f"{format_name(event.action)} on {format_name(event.target)}"
    head = f"{format_name(event.actor)} did {action}{often} {when}"
    importance = _RECORDED_IMPORTANCE if key else _IMPORTANCE
    return Fact(
        f"{head}: {quote(event.detail)}" if event.detail else head,
        head if event.detail else "",
        importance * (0.5 + 0.5 * proximity(event.occurred_at, span.until)),
        kind="audit events",
        key=key,
    )


source = ContextSource("audit", "A", frozenset({Topic.CHANGES}), 2.0, read, shows_to_confined=Shown.NOTHING)
