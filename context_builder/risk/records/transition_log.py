"""The stored transitions of the breakers: written once each, and where the next process begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select, tuple_

from context_builder.risk.policy.breaker import BreakerState, BreakerTransition
from context_builder.risk.policy.limits import FLAP_MEMORY_S
from models import Deployment, RiskTransition
from models.database import ReadSession, WriteSession


async def store_transitions(
    session: WriteSession,
    transitions: Sequence[BreakerTransition],
    ids: Mapping[str, int],
    *,
    shadow: bool,
) -> None:
    """Add the transitions of deployments that exist, unless another worker has stored the same ones."""
    keys = {(ids[each.deployment], each.at): each for each in transitions if each.deployment in ids}
    column = tuple_(RiskTransition.deployment_id, RiskTransition.at)
    found = await session.execute(
        select(RiskTransition.deployment_id, RiskTransition.at).where(column.in_(list(keys)))
    )
    stored = {(row.deployment_id, row.at) for row in found}
    session.add_all(
        RiskTransition(
            at=at,
            deployment_id=deployment,
            from_state=each.from_state,
            to_state=each.to_state,
            reason=each.reason,
            shadow=shadow,
        )
        for (deployment, at), each in keys.items()
        if (deployment, at) not in stored
    )


async def last_transitions(session: ReadSession, moment: datetime) -> list[BreakerTransition]:
    """Return the last transition of each deployment within the hour before a moment."""
    since = moment - timedelta(seconds=FLAP_MEMORY_S)
    newest = (
        select(func.max(RiskTransition.id))
        .where(RiskTransition.at > since, RiskTransition.at <= moment)
        .group_by(RiskTransition.deployment_id)
    )
    rows = await session.execute(
        select(RiskTransition, Deployment.public_id)
        .join(Deployment, Deployment.id == RiskTransition.deployment_id)
        .where(RiskTransition.id.in_(newest))
        .order_by(RiskTransition.id)
    )
    return [
        BreakerTransition(row.at, name, BreakerState(row.from_state), BreakerState(row.to_state), row.reason)
        for row, name in rows
    ]
