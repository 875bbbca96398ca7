"""SQL conditions on incidents: open at a moment, severity, affected deployment."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, or_

from models import Deployment, Incident, Severity

_RANK = {severity.value: rank for rank, severity in enumerate(Severity)}


def unresolved_at(moment: datetime) -> ColumnElement[bool]:
    """Select incidents not resolved by the moment, including those that started later."""
    return or_(Incident.resolved_at.is_(None), Incident.resolved_at > moment)


def open_at(moment: datetime) -> ColumnElement[bool]:
    """Select incidents started but not resolved by the moment."""
    return and_(Incident.started_at <= moment, unresolved_at(moment))


def severity_rank() -> ColumnElement[int]:
    """Return the rank of an incident's severity, 0 for the worst."""
    return case(_RANK, value=Incident.severity)


def affects(deployment: Deployment) -> ColumnElement[bool]:
    """Select incidents of the deployment itself, its model or its backend."""
    names = (deployment.public_id, deployment.model, deployment.backend)
    return or_(Incident.deployment_id == deployment.id, Incident.target.in_(names))
