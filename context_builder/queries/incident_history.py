"""Incident history: all incidents up to a moment, with their outcome."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Row, select

from context_builder.queries.page import FIRST_PAGE, Page, PagePosition, open_listing
from context_builder.queries.scope import resolve_moment, span_condition
from context_builder.question.checks import MAX_NAMES, check_name
from context_builder.question.names.known_names import require_known
from context_builder.question.request import QuestionError
from context_builder.telemetry.incident_state import open_at, unresolved_at
from context_builder.text.wire import WIRE
from models import Deployment, Incident, IncidentStatus, Postmortem, Severity
from models.database import ReadSession


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFilter:
    """Which incidents; an empty field matches all."""

    statuses: tuple[str, ...] = ()
    """`active`, `resolved`, as of `as_of`."""
    severities: tuple[str, ...] = ()
    """`critical`, `high`, `medium`, `low`."""
    targets: tuple[str, ...] = ()
    """Affected targets, exactly as reported."""
    since: datetime | None = None
    until: datetime | None = None
    """End of the span in which the incidents started, exclusive."""
    as_of: datetime | None = None
    """None: now. Later records are left out."""


_Found = Row[Incident, str | None, str | None, datetime | None]

ALL_INCIDENTS = HistoryFilter()


@dataclass(frozen=True, slots=True)
class RecordedIncident:
    """One incident as of a moment."""

    id: str
    title: str
    severity: str
    status: str
    target: str | None
    deployment: str | None
    """The affected deployment, if the target is one."""
    started_at: datetime
    resolved_at: datetime | None
    symptoms: str
    root_cause: str | None
    """Known from `resolved_at` on, as is `resolution`."""
    resolution: str | None
    provenance: str
    """Who wrote the record: `human`, `model`, `import` or `code`."""
    review: str
    """`draft`, `approved` or `rejected`, as of now."""
    postmortem: str | None
    """Review status of its postmortem, as of now; None: it had none."""


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """A page of incidents, newest first."""

    __pydantic_config__ = WIRE

    as_of: datetime
    incidents: tuple[RecordedIncident, ...]
    next: str | None
    """Cursor of the next page; None: this is the last."""


async def incident_history(
    session: ReadSession, filters: HistoryFilter = ALL_INCIDENTS, page: Page = FIRST_PAGE
) -> HistoryPage:
    """Return all incidents except forgotten ones.

    Raises:
        QuestionError: A filter or the cursor is invalid.
    """
    moment = resolve_moment(filters.as_of)
    chosen = open_listing("incident_history", filters, page)
    statement = (
        select(Incident, Deployment.public_id, Postmortem.status, Postmortem.created_at)
        .outerjoin(Deployment, Deployment.id == Incident.deployment_id)
        .outerjoin(Postmortem, Postmortem.incident_id == Incident.id)
        .where(
            Incident.started_at <= moment.as_of,
            Incident.forgotten_at.is_(None),
            chosen.below(Incident.started_at, Incident.id),
            *_conditions(filters, moment.as_of, moment.now),
        )
        .order_by(Incident.started_at.desc(), Incident.id.desc())
        .limit(chosen.limit + 1)
    )
    found = (await session.execute(statement)).all()
    shown, following = chosen.cut(found, lambda row: PagePosition(row[0].started_at, row[0].id))
    return HistoryPage(moment.as_of, tuple(_recorded_incident(row, moment.as_of) for row in shown), following)


def _conditions(filters: HistoryFilter, as_of: datetime, now: datetime) -> Iterator[ColumnElement[bool]]:
    require_known("status", filters.statuses, list(IncidentStatus))
    require_known("severity", filters.severities, list(Severity))
    if len(filters.targets) > MAX_NAMES:
        raise QuestionError(f"{len(filters.targets):,} targets are named; at most {MAX_NAMES} are accepted")
    for target in filters.targets:
        check_name(target, kind="target")
    yield span_condition(Incident.started_at, filters.since, filters.until, now=now)
    if filters.severities:
        yield Incident.severity.in_(filters.severities)
    if filters.targets:
        yield Incident.target.in_(filters.targets)
    if set(filters.statuses) == {IncidentStatus.ACTIVE}:
        yield open_at(as_of)
    elif set(filters.statuses) == {IncidentStatus.RESOLVED}:
        yield ~unresolved_at(as_of)


def _recorded_incident(row: _Found, as_of: datetime) -> RecordedIncident:
    incident, deployment, postmortem, written_at = row
    is_resolved = incident.resolved_at is not None and incident.resolved_at <= as_of
    return RecordedIncident(
        id=incident.public_id,
        title=incident.title,
        severity=incident.severity,
        status=IncidentStatus.RESOLVED if is_resolved else IncidentStatus.ACTIVE,
        target=incident.target,
        deployment=deployment,
        started_at=incident.started_at,
        resolved_at=incident.resolved_at if is_resolved else None,
        symptoms=incident.symptoms,
        root_cause=incident.root_cause if is_resolved else None,
        resolution=incident.resolution if is_resolved else None,
        provenance=incident.provenance,
        review=incident.review,
        postmortem=postmortem if written_at is not None and written_at <= as_of else None,
    )
