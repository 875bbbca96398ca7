"""Incidents: answers "what is broken now, and what was resolved recently?".

Columns: title, target, severity (critical to low), started and resolved (UTC), symptoms and, if resolved by
`as_of`, root cause and resolution. At a past moment an incident that was resolved later is active. Incidents
outside the scope come last: they may still be the cause.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import and_, case, func, or_, select

from context_builder.question.form import Noun
from context_builder.question.request import ContextRequest, Topic
from context_builder.question.times.bounds import floor_to_minute
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
from context_builder.telemetry.incident_state import severity_rank, unresolved_at
from context_builder.text.formatting import format_count, format_duration, format_name, format_time
from context_builder.text.sanitize import quote
from models import Deployment, Incident, Severity
from models.database import ReadSession

RESOLVED_WITHIN = timedelta(days=7)
"""Resolved incidents are shown for at least this long before `as_of`."""
MAX_FACTS = 40

_SEVERITY_IMPORTANCE = {Severity.CRITICAL: 1.0, Severity.HIGH: 0.9, Severity.MEDIUM: 0.75, Severity.LOW: 0.6}
_RESOLVED_SHARE = 0.6
_OUT_OF_SCOPE_SHARE = 0.4


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Return the named incidents, the active ones, and those resolved in the window or in RESOLVED_WITHIN."""
    oldest = min(request.window.start, request.as_of - RESOLVED_WITHIN)
    begun = Incident.started_at <= request.as_of
    is_open = unresolved_at(request.as_of)
    is_recent = and_(Incident.resolved_at <= request.as_of, Incident.resolved_at >= oldest)
    is_named = Incident.id.in_(request.scope.incident_ids)
    async with stores.snapshot.session() as session:
        counts = await session.execute(
            select(func.count().filter(is_open), func.count().filter(is_recent)).where(
                begun, or_(is_open, is_recent)
            )
        )
        active_count, recent_count = counts.one()
        rows = await session.execute(
            select(Incident, is_open)
            .where(begun, or_(is_named, is_open, is_recent))
            .order_by(
                is_named.desc(),
                is_open.desc(),
                case((is_open, severity_rank()), else_=0),
                Incident.started_at.desc(),
                Incident.id,
            )
            .limit(MAX_FACTS)
        )
        incidents = [(incident, bool(active)) for incident, active in rows]
        in_scope = await _targets_in_scope(session, request)
    if not incidents:
        header = f"none active, none resolved since {format_time(oldest)}"
        headline = _headline(f"no active incident, {header.partition(', ')[2]}", Role.COUNT, alarm=False)
        return Section(header, status=Status.EMPTY, headline=headline)
    facts = [_fact(incident, active, request, in_scope) for incident, active in incidents]
    total = active_count + recent_count
    listed = f"; the worst and newest {MAX_FACTS} are listed" if total > MAX_FACTS else ""
    return Section(
        f"{active_count:,} active, {recent_count:,} resolved since {format_time(oldest)}{listed}",
        by_importance(facts),
        headline=_headline(f"{format_count(active_count, 'active incident')}", Role.COUNT, None),
    )


def _headline(text: str, role: Role, alarm: bool | None, at: datetime | None = None) -> Headline:
    return Headline(text=text, role=role, nouns=(Noun.INCIDENT,), topic=Topic.INCIDENTS, alarm=alarm, at=at)


async def _targets_in_scope(session: ReadSession, request: ContextRequest) -> frozenset[str]:
    """Return the possible targets of incidents in scope: deployments, their models and their backends."""
    if not request.scope.deployment_ids:
        return frozenset()
    rows = await session.execute(
        select(Deployment.public_id, Deployment.model, Deployment.backend).where(
            Deployment.id.in_(request.scope.deployment_ids)
        )
    )
    return frozenset(name for row in rows for name in row)


def _is_elsewhere(incident: Incident, request: ContextRequest, in_scope: frozenset[str]) -> bool:
    """Return whether the question names deployments and the incident affected none of them."""
    if not in_scope or incident.target in in_scope:
        return False
    return incident.deployment_id not in request.scope.deployment_ids


def _fact(incident: Incident, active: bool, request: ContextRequest, in_scope: frozenset[str]) -> Fact:
    importance = _SEVERITY_IMPORTANCE[Severity(incident.severity)] * (1.0 if active else _RESOLVED_SHARE)
    elsewhere = _is_elsewhere(incident, request, in_scope)
    if incident.id in request.scope.incident_ids:
        importance = 1.0
    elif elsewhere:
        importance *= _OUT_OF_SCOPE_SHARE
    target = f" on {quote(incident.target, limit=100)}" if incident.target else ""
    head = f"{format_name(incident.public_id)} ({incident.severity}){target}: {quote(incident.title)}"
    started = f"started {format_time(incident.started_at)}"
    texts = _format_text("symptoms", incident.symptoms)
    if active or incident.resolved_at is None:
        state = f"ACTIVE, {started}, {format_duration(request.as_of - incident.started_at)} so far"
    else:
        lasted = format_duration(incident.resolved_at - incident.started_at)
        state = f"resolved {format_time(incident.resolved_at)}, {started}, lasted {lasted}"
        texts += _format_text("cause", incident.root_cause) + _format_text("fix", incident.resolution)
    short = f"{head}; {state}"
    told = f"{head.partition(': ')[0]} {state.partition(', lasted')[0]}: {quote(incident.title)}"
    is_past = request.window.end < floor_to_minute(request.as_of)
    resolved = incident.resolved_at
    was_open = active or resolved is None or (is_past and resolved > request.window.start)
    alarm = None if elsewhere else was_open
    headline = _headline(told, Role.STATE, alarm, incident.started_at)
    return Fact(f"{short}{texts}", short, importance, kind="incidents", headline=headline)


def _format_text(what: str, text: str | None) -> str:
    return f"; {what}: {quote(text)}" if text else ""


source = ContextSource(
    "incidents",
    "I",
    frozenset({Topic.HEALTH, Topic.INCIDENTS}),
    2.0,
    read,
    shows_to_confined=Shown.ALL,
)
