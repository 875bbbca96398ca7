"""Forecasts beside what came, in the database: the record by which they are judged.

What the forecaster itself learns from does not depend on it: after a restart it follows from the rollups.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import delete, insert, select, update

from context_builder.risk.forecast.forecaster import HORIZON_MINUTES
from context_builder.risk.measures.history import History
from context_builder.risk.outlook import HORIZON, Outlook
from models import RiskForecast
from models.database import WriteSession

KEPT = timedelta(days=30)


async def store_forecasts(
    session: WriteSession, history: History, outlooks: Mapping[int, Outlook], at: datetime
) -> None:
    """Store the forecasts of a moment; those that are stored already stay as they are."""
    now = history.window("p95_ms", 1)[:, 0]
    known = set(await session.scalars(select(RiskForecast.deployment_id).where(RiskForecast.made_at == at)))
    rows = [
        _row(one, float(now[history.rows[number]]))
        for number, one in outlooks.items()
        if one.moment == at and number not in known and np.isfinite(now[history.rows[number]])
    ]
    if rows:
        await session.execute(insert(RiskForecast), rows)


def _row(one: Outlook, now: float) -> dict[str, Any]:
    return {
        "deployment_id": one.deployment_id,
        "made_at": one.moment,
        "due_at": one.moment + HORIZON,
        "expert": one.expert,
        "now_ms": now,
        "expected_ms": one.latency_ms,
        "low_ms": one.low_ms,
        "high_ms": one.high_ms,
        "limit_ms": one.limit_ms,
        "breach_probability": one.breach_probability,
    }


async def store_outcomes(session: WriteSession, history: History, at: datetime) -> int:
    """Store what came of the forecasts due by a moment, the end of the newest minute; return their number.

    Of those that were due earlier, when nobody looked, nothing is known.
    """
    due = await session.execute(
        select(RiskForecast.id, RiskForecast.deployment_id, RiskForecast.limit_ms, RiskForecast.due_at)
        .where(RiskForecast.matured_at.is_(None), RiskForecast.due_at <= at)
        .order_by(RiskForecast.id)
    )
    window = history.window("p95_ms", HORIZON_MINUTES)
    highest = np.fmax.reduce(window, axis=1) if len(window) else np.zeros(0)
    rows = []
    for key, deployment, limit, due_at in due:
        row = history.rows.get(deployment) if due_at == at else None
        outcome = None if row is None or np.isnan(window[row, 0]) else float(window[row, 0])
        peak = None if row is None or np.isnan(highest[row]) else float(highest[row])
        breached = None if peak is None or limit is None else peak > limit
        rows.append({"id": key, "outcome_ms": outcome, "breached": breached, "matured_at": at})
    if rows:
        await session.execute(update(RiskForecast), rows)
    await session.execute(delete(RiskForecast).where(RiskForecast.made_at < at - KEPT))
    return len(rows)
