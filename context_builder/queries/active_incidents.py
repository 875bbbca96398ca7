"""Active incidents as of a moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from context_builder.queries.page import FIRST_PAGE, Page, PagePosition, open_listing
from context_builder.queries.scope import resolve_moment
from context_builder.question.given_scope import resolve_scope
from context_builder.question.names.known_names import require_known
from context_builder.question.request import ScopeNames
from context_builder.telemetry.incident_state import affects, open_at
from context_builder.text.wire import WIRE
from models import Deployment, Incident, Severity
from models.database import ReadSession


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentFilter:
    """Which incidents; an empty field matches all."""

    deployment: str | None = None
    """Incidents that affect this deployment, its model or its backend."""
    severities: tuple[str, ...] = ()
    """`critical`, `high`, `medium`, `low`."""
    as_of: datetime | None = None
    """None: now. An incident that was resolved later counts as active."""


@dataclass(frozen=True, slots=True)
class ActiveIncident:
    """An incident that was not resolved yet, so that cause and fix are unknown."""

    id: str
    title: str
    severity: str
    target: str | None
    deployment: str | None
    """The affected deployment, if the target is one."""
    started_at: datetime
    symptoms: str


@dataclass(frozen=True, slots=True)
class IncidentPage:
    """A page of incidents, newest first."""

    __pydantic_config__ = WIRE

    as_of: datetime
    incidents: tuple[ActiveIncident, ...]
    next: str | None
    """Cursor of the next page; None: this is the last."""


async def active_incidents(
    session: ReadSession, filters: IncidentFilter = IncidentFilter(), page: Page = FIRST_PAGE
) -> IncidentPage:
    """Return the incidents that were active at `as_of`.

    Raises:
        QuestionError: A filter or the cursor is invalid.
    """
    moment = resolve_moment(filters.as_of)
    chosen = open_listing("active_incidents", filters, page)
    require_known("severity", filters.severities, list(Severity))
    statement = (
        select(Incident, Deployment.public_id)
        .outerjoin(Deployment, Deployment.id == Incident.deployment_id)
        .where(open_at(moment.as_of), chosen.below(Incident.started_at, Incident.id))
        .order_by(Incident.started_at.desc(), Incident.id.desc())
        .limit(chosen.limit + 1)
    )
    if filters.deployment is not None:
        names = ScopeNames(deployments=(filters.deployment,))
        (deployment_id,) = (await resolve_scope(names, session, as_of=moment.as_of)).deployment_ids
        statement = statement.where(affects(await session.get_one(Deployment, deployment_id)))
    if filters.severities:
        statement = statement.where(Incident.severity.in_(filters.severities))
    found = (await session.execute(statement)).all()
    shown, following = chosen.cut(found, lambda row: PagePosition(row[0].started_at, row[0].id))
    incidents = tuple(_active_incident(incident, deployment) for incident, deployment in shown)
    return IncidentPage(moment.as_of, incidents, following)


def _active_incident(incident: Incident, deployment: str | None) -> ActiveIncident:
    return ActiveIncident(
        id=incident.public_id,
        title=incident.title,
        severity=incident.severity,
        target=incident.target,
        deployment=deployment,
        started_at=incident.started_at,
        symptoms=incident.symptoms,
    )
