"""Deployment status: the last health report of each deployment, and whether it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, case, or_, select

from context_builder.queries.page import FIRST_PAGE, Page, PagePosition, open_listing
from context_builder.queries.scope import QueryMoment, resolve_moment
from context_builder.question.given_scope import resolve_scope
from context_builder.question.names.known_names import require_known
from context_builder.question.request import ScopeNames
from context_builder.telemetry.fleet import MAX_CLOCK_SKEW, STALE_AFTER
from context_builder.text.wire import WIRE
from models import Deployment, DeploymentStatus
from models.database import ReadSession


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentFilter:
    """Which deployments; names are exact, and an empty field matches all."""

    deployments: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    """`healthy`, `degraded`, `down`, `unknown`."""
    as_of: datetime | None = None
    """None: now."""


@dataclass(frozen=True, slots=True)
class DeploymentState:
    """One deployment as of a moment."""

    id: str
    model: str
    backend: str
    region: str | None
    version: str | None
    capacity_rpm: int | None
    """Requests per minute that it is provisioned for."""
    status: str
    """`unknown` if health was never reported, or if the recorded report is later than the moment."""
    reason: str | None
    since: datetime | None
    """When the deployment entered this status."""
    reported_at: datetime | None
    stale: bool
    """True if the report is older than 15 minutes, so that the deployment may be in any state by now."""
    overwritten: bool
    """True if the recorded report is later than the moment, so that the status at the moment is unknown."""


@dataclass(frozen=True, slots=True)
class DeploymentPage:
    """A page of deployments, newest first."""

    __pydantic_config__ = WIRE

    as_of: datetime
    deployments: tuple[DeploymentState, ...]
    next: str | None
    """Cursor of the next page; None: this is the last."""


async def deployment_status(
    session: ReadSession, filters: DeploymentFilter = DeploymentFilter(), page: Page = FIRST_PAGE
) -> DeploymentPage:
    """Return the deployments that existed at `as_of`.

    Raises:
        QuestionError: A filter or the cursor is invalid.
    """
    moment = resolve_moment(filters.as_of)
    chosen = open_listing("deployment_status", filters, page)
    require_known("status", filters.statuses, list(DeploymentStatus))
    names = ScopeNames(deployments=filters.deployments, models=filters.models, backends=filters.backends)
    scope = await resolve_scope(names, session, as_of=moment.as_of)
    statement = (
        select(Deployment)
        .where(Deployment.created_at <= moment.as_of, chosen.below(Deployment.created_at, Deployment.id))
        .order_by(Deployment.created_at.desc(), Deployment.id.desc())
        .limit(chosen.limit + 1)
    )
    if scope.deployment_ids:
        statement = statement.where(Deployment.id.in_(scope.deployment_ids))
    if filters.statuses:
        statement = statement.where(_status_at(moment).in_(filters.statuses))
    found = (await session.scalars(statement)).all()
    shown, following = chosen.cut(found, lambda row: PagePosition(row.created_at, row.id))
    return DeploymentPage(moment.as_of, tuple(_state(one, moment) for one in shown), following)


def _horizon(moment: QueryMoment) -> datetime:
    """Return the time of the latest report that counts for the moment."""
    return moment.as_of + (MAX_CLOCK_SKEW if moment.live else timedelta(0))


def _status_at(moment: QueryMoment) -> ColumnElement[str]:
    is_unknown = or_(Deployment.updated_at.is_(None), Deployment.updated_at > _horizon(moment))
    return case((is_unknown, DeploymentStatus.UNKNOWN.value), else_=Deployment.status)


def _state(deployment: Deployment, moment: QueryMoment) -> DeploymentState:
    reported = deployment.updated_at
    overwritten = reported is not None and reported > _horizon(moment)
    known = reported is not None and not overwritten
    return DeploymentState(
        id=deployment.public_id,
        model=deployment.model,
        backend=deployment.backend,
        region=deployment.region,
        version=deployment.version,
        capacity_rpm=deployment.capacity_rpm,
        status=deployment.status if known else DeploymentStatus.UNKNOWN,
        reason=deployment.status_reason if known else None,
        since=deployment.status_since if known else None,
        reported_at=reported if known else None,
        stale=known and reported is not None and moment.as_of - reported > STALE_AFTER,
        overwritten=overwritten,
    )
