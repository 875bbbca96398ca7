"""Incidents at a moment: which were open then, and which of them hit a deployment."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, or_

from models import Deployment, Incident, Severity

_RANK = {severity.value: rank for rank, severity in enumerate(Severity)}


def unresolved_at(moment: datetime) -> ColumnElement[bool]:
    """Not resolved by the moment; it may have begun later."""
    return or_(Incident.resolved_at.is_(None), Incident.resolved_at > moment)


def open_at(moment: datetime) -> ColumnElement[bool]:
    """Begun by the moment, and not resolved by it."""
    return and_(Incident.started_at <= moment, unresolved_at(moment))


def severity_rank() -> ColumnElement[int]:
    """A number by severity, 0 for the worst."""
    return case(_RANK, value=Incident.severity)


def affects(deployment: Deployment) -> ColumnElement[bool]:
    """Whether an incident hit the deployment itself, its model or its backend."""
    names = (deployment.public_id, deployment.model, deployment.backend)
    return or_(Incident.deployment_id == deployment.id, Incident.target.in_(names))
