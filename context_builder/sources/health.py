"""Health of the deployments in scope: answers "which deployments are unhealthy, and since when?".

Columns: status (healthy, degraded, down, unknown), its reason, since when (UTC), and how long ago it was
reported (minutes). A report older than STALE_AFTER is stale: the deployment may be in any state by now.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select

from context_builder.figures import count, duration, moment
from context_builder.request import ContextRequest, Topic
from context_builder.source import ContextSource, Fact, Section, Status, Stores
from context_builder.untrusted import quoted
from models import Deployment, DeploymentStatus

STALE_AFTER = timedelta(minutes=15)
_IMPORTANCE = {
    DeploymentStatus.DOWN: 1.0,
    DeploymentStatus.DEGRADED: 0.9,
    DeploymentStatus.UNKNOWN: 0.3,
    DeploymentStatus.HEALTHY: 0.25,
}
_LISTED = 30
"""Names that one collective fact lists at the most."""


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Unhealthy and stale deployments one by one, the others together."""
    statement = (
        select(Deployment).where(Deployment.created_at <= request.as_of).order_by(Deployment.public_id)
    )
    if request.scope.deployment_ids:
        statement = statement.where(Deployment.id.in_(request.scope.deployment_ids))
    async with stores.snapshot.session() as session:
        deployments = (await session.scalars(statement)).all()
    if not deployments:
        return Section("no deployments are known", status=Status.EMPTY)
    known = [d for d in deployments if d.updated_at is not None and d.updated_at <= request.as_of]
    later = [d for d in deployments if d.updated_at is not None and d.updated_at > request.as_of]
    never = [d for d in deployments if d.updated_at is None]
    stale = [d for d in known if is_stale(d, request.as_of)]
    facts = [_fact(d, request.as_of) for d in known if d.status != DeploymentStatus.HEALTHY or d in stale]
    well = [d for d in known if d.status == DeploymentStatus.HEALTHY and d not in stale]
    if well:
        facts.append(_together(well, "healthy", _IMPORTANCE[DeploymentStatus.HEALTHY]))
    if never:
        facts.append(
            _together(never, "of unknown health (never reported)", _IMPORTANCE[DeploymentStatus.UNKNOWN])
        )
    gaps = [f"health at this moment of {_names(later)}: the recorded status is a later one"] if later else []
    return Section(
        _header(deployments, known, stale),
        tuple(sorted(facts, key=lambda fact: -fact.importance)),
        Status.STALE if stale else Status.OK,
        tuple(gaps),
    )


def is_stale(deployment: Deployment, as_of: datetime) -> bool:
    """Whether the last report is too old to be believed at `as_of`."""
    return deployment.updated_at is not None and as_of - deployment.updated_at > STALE_AFTER


def _header(
    deployments: Sequence[Deployment], known: Sequence[Deployment], stale: Sequence[Deployment]
) -> str:
    parts = [
        f"{sum(d.status == status for d in known)} {status}"
        for status in (DeploymentStatus.DOWN, DeploymentStatus.DEGRADED, DeploymentStatus.HEALTHY)
    ]
    unknown = len(deployments) - len(known) + sum(d.status == DeploymentStatus.UNKNOWN for d in known)
    if unknown:
        parts.append(f"{unknown} unknown")
    if stale:
        parts.append(f"{len(stale)} with a stale report")
    return f"{count(len(deployments), 'deployment')}: {', '.join(parts)}"


def _fact(deployment: Deployment, as_of: datetime) -> Fact:
    assert deployment.updated_at is not None  # noqa: S101  chosen so by the caller; tells mypy
    place = f" ({deployment.region})" if deployment.region else ""
    text = f"{deployment.public_id}{place} is {deployment.status.upper()}"
    short = text
    if deployment.status_since is not None and deployment.status_since <= as_of:
        text += f" since {moment(deployment.status_since)} ({duration(as_of - deployment.status_since)})"
    if deployment.status_reason:
        text += f": {quoted(deployment.status_reason)}"
    age = duration(as_of - deployment.updated_at)
    stale = is_stale(deployment, as_of)
    text += f"; STALE, last reported {age} ago" if stale else f"; reported {age} ago"
    importance = _IMPORTANCE[DeploymentStatus(deployment.status)]
    return Fact(text, short, max(importance, 0.6) if stale else importance)


def _together(deployments: Sequence[Deployment], state: str, importance: float) -> Fact:
    return Fact(
        f"{count(len(deployments), 'deployment')} {state}: {_names(deployments)}",
        f"{count(len(deployments), 'deployment')} {state}",
        importance,
    )


def _names(deployments: Sequence[Deployment]) -> str:
    names = ", ".join(deployment.public_id for deployment in deployments[:_LISTED])
    return names if len(deployments) <= _LISTED else f"{names} and {len(deployments) - _LISTED} more"


source = ContextSource("health", "H", frozenset({Topic.HEALTH, Topic.INCIDENTS}), 2.0, read)
