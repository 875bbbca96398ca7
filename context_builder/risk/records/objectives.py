"""Service level objectives of deployments: the p95 latency above which each is in breach."""

from __future__ import annotations

from sqlalchemy import select, update

from context_builder.question.names.known_names import require_known
from models import Deployment
from models.database import ReadSession, WriteSession


async def read_objectives(session: ReadSession) -> dict[int, float]:
    """Return the objectives in ms by deployment id, of those that have one."""
    found = await session.execute(select(Deployment.id, Deployment.p95_objective_ms))
    return {number: float(objective) for number, objective in found if objective is not None}


async def set_objective(session: WriteSession, deployment: str, objective_ms: int | None) -> None:
    """Set the objective of a deployment, or with None remove it. Raises QuestionError if it is not known."""
    require_known("deployment", [deployment], await session.scalars(select(Deployment.public_id)))
    await session.execute(
        update(Deployment).where(Deployment.public_id == deployment).values(p95_objective_ms=objective_ms)
    )
