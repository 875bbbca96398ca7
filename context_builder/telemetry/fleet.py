"""The deployments that a question is about, and which of their columns can be believed at its moment."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select

from context_builder.question.request import ContextRequest
from models import Deployment
from models.database import ReadSession

MAX_DEPLOYMENTS = 2_000
"""Deployments that one question reads, the first that were made."""
CLOCK_SKEW = timedelta(minutes=1)
"""How far ahead the clock of whoever reports may be when the question is about now."""


async def known_deployments(
    session: ReadSession, request: ContextRequest, *, all_of_them: bool = False
) -> list[Deployment]:
    """Deployments that existed at `as_of`, those in scope or all, in the order of their names."""
    statement = select(Deployment).where(Deployment.created_at <= request.as_of)
    if request.scope.deployment_ids and not all_of_them:
        statement = statement.where(Deployment.id.in_(request.scope.deployment_ids))
    found = await session.scalars(statement.order_by(Deployment.id).limit(MAX_DEPLOYMENTS))
    return sorted(found, key=lambda deployment: deployment.public_id)


def latest_accepted_report(request: ContextRequest) -> datetime:
    """What was reported after this was reported later than the moment that is asked about."""
    return request.as_of + (CLOCK_SKEW if request.live else timedelta(0))


def is_overwritten(deployment: Deployment, request: ContextRequest) -> bool:
    """Whether its row was written later, so that what it said at `as_of` is not known."""
    return deployment.updated_at is not None and deployment.updated_at > latest_accepted_report(request)
