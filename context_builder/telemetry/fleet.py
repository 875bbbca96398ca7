"""Loads the deployments that a question is about, and tells which rows were overwritten since."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select

from context_builder.question.request import ContextRequest
from models import Deployment
from models.database import ReadSession

STALE_AFTER = timedelta(minutes=15)
"""Age from which a health report says nothing about now."""
MAX_DEPLOYMENTS = 2_000
"""Per question, in order of creation."""
MAX_CLOCK_SKEW = timedelta(minutes=1)
"""Tolerance for the clock of a reporting system when the question is about now."""


async def known_deployments(
    session: ReadSession, request: ContextRequest, *, all_of_them: bool = False
) -> list[Deployment]:
    """Load the deployments that existed at `as_of`, in scope unless `all_of_them`, sorted by name."""
    statement = select(Deployment).where(Deployment.created_at <= request.as_of)
    if request.scope.deployment_ids and not all_of_them:
        statement = statement.where(Deployment.id.in_(request.scope.deployment_ids))
    found = await session.scalars(statement.order_by(Deployment.id).limit(MAX_DEPLOYMENTS))
    return sorted(found, key=lambda deployment: deployment.public_id)


def latest_accepted_report(request: ContextRequest) -> datetime:
    """Return the time after which a report counts as later than the moment asked about."""
    return request.as_of + (MAX_CLOCK_SKEW if request.is_now else timedelta(0))


def is_overwritten(deployment: Deployment, request: ContextRequest) -> bool:
    """Return whether the row was updated after `as_of`, so that its state then is unknown."""
    return deployment.updated_at is not None and deployment.updated_at > latest_accepted_report(request)
