"""The matured forecasts of the last day, which promotion is judged by."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from context_builder.risk.policy.promotion import SPAN, MaturedForecast
from models import Deployment, RiskForecast
from models.database import ReadSession

MAX_DEPLOYMENTS = 138
"""That are judged, those known for longest: a day of their forecasts is 200,000 rows."""


async def matured_forecasts(session: ReadSession, moment: datetime) -> list[MaturedForecast]:
    """Return the forecasts of the day before a moment whose outcome is known."""
    judged = select(Deployment.id).order_by(Deployment.id).limit(MAX_DEPLOYMENTS)
    rows = await session.execute(
        select(
            Deployment.public_id,
            RiskForecast.made_at,
            RiskForecast.due_at,
            RiskForecast.now_ms,
            RiskForecast.expected_ms,
            RiskForecast.outcome_ms,
            RiskForecast.breach_probability,
            RiskForecast.breached,
        )
        .join(Deployment, Deployment.id == RiskForecast.deployment_id)
        .where(
            RiskForecast.due_at > moment - SPAN,
            RiskForecast.due_at <= moment,
            RiskForecast.matured_at <= moment,
            RiskForecast.deployment_id.in_(judged),
        )
        .order_by(RiskForecast.due_at.desc())
    )
    return [MaturedForecast(*row) for row in rows]
