"""The deployments that an incident affected, as its record names them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, or_, select

from context_builder.question.request import ContextRequest, Scope, Window
from models import Deployment, Incident
from models.database import ReadSession

_MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class AffectedDeployments:
    """The deployments that an incident affected; none: unknown."""

    deployment_ids: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    """Their public ids, in order."""

    @property
    def label(self) -> str:
        """The names, as many as fit into a sentence."""
        rest = len(self.names) - _MAX_NAMED
        more = f" and {rest:,} more deployments" if rest > 0 else ""
        return f"{', '.join(self.names[:_MAX_NAMED])}{more}"


async def load_affected(session: ReadSession, incident: Incident) -> AffectedDeployments:
    """Load the deployment that the record names, else those of the model or backend that its target names."""
    condition: ColumnElement[bool]
    if incident.deployment_id is not None:
        condition = Deployment.id == incident.deployment_id
    elif incident.target:
        target = incident.target
        condition = or_(
            Deployment.public_id == target, Deployment.model == target, Deployment.backend == target
        )
    else:
        return AffectedDeployments()
    rows = await session.execute(
        select(Deployment.id, Deployment.public_id).where(condition).order_by(Deployment.public_id)
    )
    found = rows.all()
    return AffectedDeployments(tuple(row.id for row in found), tuple(row.public_id for row in found))


def request_about(affected: AffectedDeployments, window: Window) -> ContextRequest:
    """Return a resolved question about a window, for conditions shared with the sources."""
    return ContextRequest(
        question="",
        as_of=window.end,
        is_now=False,
        window=window,
        token_budget=0,
        scope=Scope(deployment_ids=affected.deployment_ids),
    )
