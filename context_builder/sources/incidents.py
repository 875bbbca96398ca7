"""Incidents: answers "what is broken now, and what was mended lately?".

Columns: title, target, severity (critical to low), started and resolved (UTC), symptoms, and, once resolved
by `as_of`, root cause and resolution. At a past moment an incident that was resolved later is active. Those
that hit something else than what is asked about come last: they may still be the reason.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import and_, case, func, or_, select

from context_builder.question.request import ContextRequest, Topic
from context_builder.source import ContextSource, Fact, Section, Status, Stores
from context_builder.telemetry.incident_state import severity_rank, unresolved_at
from context_builder.text.formatting import format_duration, format_name, format_time
from context_builder.text.sanitize import quote
from models import Deployment, Incident, Severity
from models.database import ReadSession

RECENT = timedelta(days=7)
"""How far back resolved incidents are shown when the window is shorter."""
MOST = 40

_SEVERITY = {Severity.CRITICAL: 1.0, Severity.HIGH: 0.9, Severity.MEDIUM: 0.75, Severity.LOW: 0.6}
_RESOLVED_SHARE = 0.6
_OUT_OF_SCOPE_SHARE = 0.4


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Active incidents, then those resolved in the window or the last RECENT days; named ones before all."""
    oldest = min(request.window.start, request.as_of - RECENT)
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
            .limit(MOST)
        )
        incidents = [(incident, bool(active)) for incident, active in rows]
        hit = await _targets_in_scope(session, request)
    if not incidents:
        return Section(f"none active, none resolved since {format_time(oldest)}", status=Status.EMPTY)
    facts = [_fact(incident, active, request, hit) for incident, active in incidents]
    total = active_count + recent_count
    listed = f"; the worst and newest {MOST} are listed" if total > MOST else ""
    return Section(
        f"{active_count:,} active, {recent_count:,} resolved since {format_time(oldest)}{listed}",
        tuple(sorted(facts, key=lambda fact: -fact.importance)),
    )


async def _targets_in_scope(session: ReadSession, request: ContextRequest) -> frozenset[str]:
    """What an incident in scope may have hit: deployments, their models and their backends."""
    if not request.scope.deployment_ids:
        return frozenset()
    rows = await session.execute(
        select(Deployment.public_id, Deployment.model, Deployment.backend).where(
            Deployment.id.in_(request.scope.deployment_ids)
        )
    )
    return frozenset(name for row in rows for name in row)


def _is_elsewhere(incident: Incident, request: ContextRequest, hit: frozenset[str]) -> bool:
    """Whether the question is about deployments, and the incident hit none of them."""
    return (
        bool(hit)
        and incident.target not in hit
        and incident.deployment_id not in request.scope.deployment_ids
    )


def _fact(incident: Incident, active: bool, request: ContextRequest, hit: frozenset[str]) -> Fact:
    importance = _SEVERITY[Severity(incident.severity)] * (1.0 if active else _RESOLVED_SHARE)
    if incident.id in request.scope.incident_ids:
        importance = 1.0
    elif _is_elsewhere(incident, request, hit):
        importance *= _OUT_OF_SCOPE_SHARE
    target = f" on {quote(incident.target, limit=100)}" if incident.target else ""
    head = f"{format_name(incident.public_id)} ({incident.severity}){target}: {quote(incident.title)}"
    started = f"started {format_time(incident.started_at)}"
    if active or incident.resolved_at is None:
        state = f"ACTIVE, {started}, {format_duration(request.as_of - incident.started_at)} so far"
        symptoms = _said("symptoms", incident.symptoms)
        return Fact(f"{head}; {state}{symptoms}", f"{head}; {state}", importance, kind="incidents")
    lasted = format_duration(incident.resolved_at - incident.started_at)
    state = f"resolved {format_time(incident.resolved_at)}, {started}, lasted {lasted}"
    known = _said("cause", incident.root_cause) + _said("fix", incident.resolution)
    return Fact(
        f"{head}; {state}{_said('symptoms', incident.symptoms)}{known}",
        f"{head}; {state}",
        importance,
        kind="incidents",
    )


def _said(what: str, text: str | None) -> str:
    return f"; {what}: {quote(text)}" if text else ""


source = ContextSource("incidents", "I", frozenset({Topic.HEALTH, Topic.INCIDENTS}), 2.0, read)
