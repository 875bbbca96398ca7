"""Audit events: answers "who did what to the gateway, and when?".

Columns: actor, action, target, detail and when (UTC). Actions that are alike are told once, with how often.
What merely records a configuration change or a job of its own comes last and carries its key.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import and_, func, select

from context_builder.question.request import ContextRequest, Topic
from context_builder.source import ContextSource, Fact, Section, Status, Stores
from context_builder.telemetry.event_scope import event_scope
from context_builder.telemetry.event_window import EventWindow, period_text, proximity, recent_window
from context_builder.text.fact_keys import change_key, job_key
from context_builder.text.formatting import format_count, format_name
from context_builder.text.sanitize import quote
from models import AuditEvent, ConfigChange, Job, JobType
from models.database import ReadSession

NEWEST = 500
"""Events that are read; the others are counted."""
MOST = 40
SAME = timedelta(minutes=1)
"""An event this close to a configuration change or the creation of a job on the same target records it."""
_MAX_RECORDED = 1_000
_IMPORTANCE = 0.6
_RECORDED_IMPORTANCE = 0.2
_JOB_ACTIONS = frozenset({"job", *JobType})

Recorded = dict[tuple[str, str], list[tuple[datetime, str]]]
"""Times and keys of what has its own row, by area (`config`, `job`) and target."""


async def read(request: ContextRequest, stores: Stores) -> Section:
    """The newest events, alike ones together."""
    span = recent_window(request)
    condition = and_(span.contains(AuditEvent.occurred_at), event_scope(AuditEvent, request))
    async with stores.snapshot.session() as session:
        total = await session.scalar(select(func.count()).select_from(AuditEvent).where(condition)) or 0
        events = (
            await session.scalars(
                select(AuditEvent)
                .where(condition)
                .order_by(AuditEvent.occurred_at.desc(), AuditEvent.id.desc())
                .limit(NEWEST)
            )
        ).all()
        recorded = await _recorded(session, events, request)
    if not events:
        return Section(f"no audit events {span}", status=Status.EMPTY)
    groups: defaultdict[tuple[str, ...], list[AuditEvent]] = defaultdict(list)
    for event in events:
        key = _key(event, recorded)
        groups[event.actor, event.action, event.target, event.detail or "", key].append(event)
    facts = [_fact(alike, key[-1], span) for key, alike in groups.items()]
    facts.sort(key=lambda fact: -fact.importance)
    return Section(_header(total, len(facts), span), tuple(facts[:MOST]))


def _header(total: int, different: int, span: EventWindow) -> str:
    read_part = f"; only the newest {NEWEST} were read" if total > NEWEST else ""
    listed = f"; {different:,} different ones, {MOST} are listed" if different > MOST else ""
    return f"{format_count(total, 'audit event')} {span}{read_part}{listed}"


def _area(event: AuditEvent) -> str:
    """What an action by its name has to do with: `config`, `job` or nothing of the two."""
    first = event.action.partition(".")[0]
    if first == "config":
        return first
    return "job" if first in _JOB_ACTIONS else ""


async def _recorded(session: ReadSession, events: Sequence[AuditEvent], request: ContextRequest) -> Recorded:
    """The configuration changes and jobs that these events may record."""
    recorded: Recorded = defaultdict(list)
    changes = [event for event in events if _area(event) == "config"]
    if changes:
        rows = await session.execute(
            select(ConfigChange.target, ConfigChange.changed_at)
            .where(
                ConfigChange.target.in_(_targets(changes)),
                _around(changes, request).contains(ConfigChange.changed_at),
            )
            .order_by(ConfigChange.changed_at.desc(), ConfigChange.id.desc())
            .limit(_MAX_RECORDED)
        )
        for target, changed_at in rows:
            recorded["config", target].append((changed_at, change_key(target, changed_at)))
    started = [event for event in events if _area(event) == "job"]
    if started:
        jobs = await session.execute(
            select(Job.target, Job.created_at, Job.public_id)
            .where(Job.target.in_(_targets(started)), _around(started, request).contains(Job.created_at))
            .order_by(Job.created_at.desc(), Job.id.desc())
            .limit(_MAX_RECORDED)
        )
        for target, created_at, public_id in jobs:
            recorded["job", target].append((created_at, job_key(public_id)))
    return recorded


def _targets(events: Collection[AuditEvent]) -> list[str]:
    return sorted({event.target for event in events})


def _around(events: Sequence[AuditEvent], request: ContextRequest) -> EventWindow:
    """From just before the oldest event to just after the newest; events come newest first."""
    until = min(events[0].occurred_at + SAME, request.as_of) + timedelta(microseconds=1)
    return EventWindow(events[-1].occurred_at - SAME, until)


def _key(event: AuditEvent, recorded: Recorded) -> str:
    """The key of the nearest row that the event records, empty where it records none."""
    rows = recorded.get((_area(event), event.target), ())
    distance, key = min(((abs(event.occurred_at - at), key) for at, key in rows), default=(SAME, ""))
    return key if distance < SAME else ""


def _fact(alike: Sequence[AuditEvent], key: str, span: EventWindow) -> Fact:
    """What one actor did, once or several times; `alike` has the newest first."""
    event = alike[0]
    often = f" {len(alike):,} times" if len(alike) > 1 else ""
    when = period_text(alike[-1].occurred_at, event.occurred_at)
    head = f"{format_name(event.actor)} did {format_name(event.action)} on {format_name(event.target)}{often} {when}"
    importance = _RECORDED_IMPORTANCE if key else _IMPORTANCE
    return Fact(
        f"{head}: {quote(event.detail)}" if event.detail else head,
        head if event.detail else "",
        importance * (0.5 + 0.5 * proximity(event.occurred_at, span.until)),
        kind="audit events",
        key=key,
    )


source = ContextSource("audit", "A", frozenset({Topic.CHANGES}), 2.0, read)
