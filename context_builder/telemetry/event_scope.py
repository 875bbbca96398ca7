"""SQL condition for the operational events within a question's scope."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, exists, or_, select, true

from context_builder.question.request import ContextRequest
from models import AuditEvent, ConfigChange, Deployment, ErrorLog, Job

TargetedTable = type[AuditEvent | ConfigChange | ErrorLog | Job]
"""Tables whose rows have a target, and a deployment id if the target is a deployment."""


def event_scope(table: TargetedTable, request: ContextRequest) -> ColumnElement[bool]:
    """Select events of the deployments in scope, of their models and backends, and of the whole gateway.

    Events of other deployments, and of models and backends of other deployments only, are excluded.
    """
    ids = request.scope.deployment_ids
    if not ids:
        return true()
    target_of = or_(Deployment.model == table.target, Deployment.backend == table.target)
    of_any = exists(select(1).where(target_of))
    of_scope = exists(select(1).where(target_of, Deployment.id.in_(ids)))
    return or_(
        table.deployment_id.in_(ids),
        and_(table.deployment_id.is_(None), or_(of_scope, ~of_any)),
    )
