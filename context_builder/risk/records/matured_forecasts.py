"""The matured forecasts of the last day, which promotion is judged by."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from context_builder.risk.policy.promotion import SPAN, MaturedForecast
from models import Deployment, RiskForecast
from models.database import ReadSession

MAX_ROWS = 200_000
"""The newest; a day of 138 deployments with a forecast a minute."""


async def matured_forecasts(session: ReadSession, moment: datetime) -> list[MaturedForecast]:
    """Return the forecasts of the day before a moment whose outcome is known."""
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
        )
        .order_by(RiskForecast.due_at.desc())
        .limit(MAX_ROWS)
    )
    return [MaturedForecast(*row) for row in rows]
