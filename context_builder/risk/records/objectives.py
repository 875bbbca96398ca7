"""Service level objectives of deployments: the p95 latency above which each is in breach."""

from __future__ import annotations

from difflib import get_close_matches

from sqlalchemy import select, update

from context_builder.errors import ContextBuilderError
from models import Deployment
from models.database import ReadSession, WriteSession

_MAX_SIMILAR = 3


class UnknownDeployment(ContextBuilderError, ValueError):
    """No deployment has this name; the message names similar ones."""


async def read_objectives(session: ReadSession) -> dict[int, float]:
    """Return the objectives in ms by deployment id, of those that have one."""
    found = await session.execute(select(Deployment.id, Deployment.p95_objective_ms))
    return {number: float(objective) for number, objective in found if objective is not None}


async def set_objective(session: WriteSession, deployment: str, objective_ms: int | None) -> None:
    """Set the objective of a deployment, or with None remove it. Raises UnknownDeployment."""
    known = (await session.scalars(select(Deployment.public_id).order_by(Deployment.public_id))).all()
    if deployment not in known:
        similar = get_close_matches(deployment, known, n=_MAX_SIMILAR) or known[:_MAX_SIMILAR]
        names = f"similar are {', '.join(similar)}" if similar else "there are none yet"
        raise UnknownDeployment(f"no deployment is called {deployment[:100]!r}; {names}")
    await session.execute(
        update(Deployment).where(Deployment.public_id == deployment).values(p95_objective_ms=objective_ms)
    )
