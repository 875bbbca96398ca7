"""The newest stored forecast of each deployment, as an outlook."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select

from context_builder.risk.outlook import NO_EXPERT, Outlook
from models import RiskForecast
from models.database import ReadSession

_MAX_AGE = timedelta(minutes=3)


async def stored_outlooks(session: ReadSession, moment: datetime) -> dict[int, Outlook]:
    """Return the outlooks by deployment id that were made in the last minutes before a moment."""
    rows = await session.scalars(
        select(RiskForecast)
        .where(
            RiskForecast.due_at > moment,
            RiskForecast.made_at > moment - _MAX_AGE,
            RiskForecast.made_at <= moment,
        )
        .order_by(RiskForecast.made_at)
    )
    return {row.deployment_id: _outlook(row) for row in rows}


def _outlook(row: RiskForecast) -> Outlook:
    headroom = 1 - row.now_ms / row.limit_ms if row.limit_ms else None
    return Outlook(
        deployment_id=row.deployment_id,
        moment=row.made_at,
        expert=row.expert,
        skill=None,
        matured=0,
        latency_ms=row.expected_ms,
        low_ms=row.low_ms,
        high_ms=row.high_ms,
        baseline_ms=None,
        limit_ms=row.limit_ms,
        load_rps=None,
        headroom=headroom,
        breach_probability=row.breach_probability,
        silence="the forecast was withheld" if row.expert == NO_EXPERT else "",
        anomaly="",
        last_false_alarm=None,
    )
