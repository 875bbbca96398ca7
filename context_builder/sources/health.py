"""Health of the deployments in scope: answers "which deployments are unhealthy, and since when?".

Columns: status (healthy, degraded, down, unknown), its reason, start (UTC) and the age of the report
(minutes). A report older than STALE_AFTER is stale: the deployment may be in any state by now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from context_builder.question.form import Noun
from context_builder.question.request import ContextRequest, Topic
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
from context_builder.telemetry.fleet import STALE_AFTER, is_overwritten, known_deployments
from context_builder.text.formatting import (
    format_count,
    format_duration,
    format_list,
    format_name,
    format_time,
)
from context_builder.text.sanitize import quote
from models import Deployment, DeploymentStatus

MAX_SINGLE_FACTS = 30
"""Unhealthy and stale deployments that get a fact each; the others are listed together."""
_MAX_NAMES = 30
"""Names that one group fact lists."""
_MAX_NAMES_IN_GAP = 8
_IMPORTANCE = {
    DeploymentStatus.DOWN: 1.0,
    # Answers "which are unhealthy?" as much as DOWN does, so no other fact ranks between them.
    DeploymentStatus.DEGRADED: 0.98,
    DeploymentStatus.UNKNOWN: 0.3,
    DeploymentStatus.HEALTHY: 0.25,
}
_STALE_IMPORTANCE = 0.6
_UNWELL = (DeploymentStatus.DOWN, DeploymentStatus.DEGRADED)


@dataclass(frozen=True, slots=True)
class HealthReport:
    """The last health report of a deployment as of one moment."""

    deployment: Deployment
    status: DeploymentStatus
    age: timedelta

    @property
    def stale(self) -> bool:
        """True if the report is too old to be trusted."""
        return self.age > STALE_AFTER

    @property
    def well(self) -> bool:
        """True if a report that is not stale says healthy."""
        return self.status == DeploymentStatus.HEALTHY and not self.stale

    @property
    def importance(self) -> float:
        """Return the importance to an engineer, from 0 to 1."""
        importance = _IMPORTANCE[self.status]
        return max(importance, _STALE_IMPORTANCE) if self.stale else importance


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Return a fact for each unhealthy or stale deployment and one for the others."""
    async with stores.snapshot.session() as session:
        deployments = await known_deployments(session, request)
    if not deployments:
        return Section("no deployments are known", status=Status.EMPTY)
    reports, never, later = [], [], []
    for deployment in deployments:
        if deployment.updated_at is None:
            never.append(deployment.public_id)
        elif is_overwritten(deployment, request):
            later.append(deployment.public_id)
        else:
            age = max(request.as_of - deployment.updated_at, timedelta(0))
            reports.append(HealthReport(deployment, DeploymentStatus(deployment.status), age))
    facts = list(_facts(reports, request.as_of))
    if never:
        facts.append(
            _group_fact(never, "of unknown health (never reported)", _IMPORTANCE[DeploymentStatus.UNKNOWN])
        )
    header = _header(reports, unknown=len(never) + len(later))
    return Section(
        header,
        by_importance(facts),
        Status.STALE if any(report.stale for report in reports) else Status.OK,
        _gaps(later),
        _headline(header, Role.COUNT),
    )


def _headline(text: str, role: Role, *, alarm: bool | None = None, at: datetime | None = None) -> Headline:
    return Headline(text=text, role=role, nouns=(Noun.DEPLOYMENT,), topic=Topic.HEALTH, alarm=alarm, at=at)


def _header(reports: Sequence[HealthReport], *, unknown: int) -> str:
    parts = [
        f"{sum(report.status == status for report in reports)} {status}"
        for status in (DeploymentStatus.DOWN, DeploymentStatus.DEGRADED, DeploymentStatus.HEALTHY)
    ]
    stale = sum(report.stale for report in reports)
    total = len(reports) + unknown
    unknown += sum(report.status == DeploymentStatus.UNKNOWN for report in reports)
    if unknown:
        parts.append(f"{unknown} unknown")
    if stale:
        parts.append(f"{stale} with a stale report")
    return f"{format_count(total, 'deployment')}: {', '.join(parts)}"


def _facts(reports: Sequence[HealthReport], as_of: datetime) -> Iterator[Fact]:
    """Yield a fact for each of the worst reports, then the others grouped by state."""
    unwell = sorted((r for r in reports if not r.well), key=lambda report: -report.importance)
    for report in unwell[:MAX_SINGLE_FACTS]:
        yield _fact(report, as_of)
    groups: defaultdict[tuple[str, float], list[str]] = defaultdict(list)
    for report in unwell[MAX_SINGLE_FACTS:]:
        state = f"more {report.status.upper()}{' by a stale report' if report.stale else ''}"
        groups[state, report.importance].append(report.deployment.public_id)
    well = [report.deployment.public_id for report in reports if report.well]
    if well:
        groups["healthy", _IMPORTANCE[DeploymentStatus.HEALTHY]] = well
    for (state, importance), names in groups.items():
        yield _group_fact(names, state, importance)


def _fact(report: HealthReport, as_of: datetime) -> Fact:
    deployment = report.deployment
    place = f" ({format_name(deployment.region)})" if deployment.region else ""
    text = short = f"{format_name(deployment.public_id)}{place} is {report.status.upper()}"
    if deployment.status_since is not None and deployment.status_since <= as_of:
        duration = format_duration(as_of - deployment.status_since)
        text += f" since {format_time(deployment.status_since)} ({duration})"
    if deployment.status_reason:
        text += f": {quote(deployment.status_reason)}"
    said = f"{'STALE, last ' if report.stale else ''}reported {format_duration(report.age)} ago"
    return Fact(
        f"{text}; {said}",
        f"{short}; {said}" if report.stale else short,
        report.importance,
        kind="unhealthy or stale deployments",
        headline=_headline(
            f"{text}; {said}" if report.stale else text,
            Role.STATE,
            alarm=True if report.status in _UNWELL else None,
            at=deployment.status_since,
        ),
    )


def _group_fact(names: Sequence[str], state: str, importance: float) -> Fact:
    head = f"{format_count(len(names), 'deployment')} {state}"
    text = f"{head}: {format_list(names, _MAX_NAMES)}"
    alarm = {"healthy": False}.get(state, True if "more " in state else None)
    headline = _headline(text, Role.STATE, alarm=alarm)
    return Fact(text, head, importance, kind="groups of deployments", headline=headline)


def _gaps(later: Sequence[str]) -> tuple[str, ...]:
    names = format_list(later, _MAX_NAMES_IN_GAP)
    return (f"health at this moment of {names}: the recorded status is newer",) if later else ()


source = ContextSource(
    "health",
    "H",
    frozenset({Topic.HEALTH, Topic.INCIDENTS}),
    2.0,
    read,
    shows_to_confined=Shown.ALL,
)
