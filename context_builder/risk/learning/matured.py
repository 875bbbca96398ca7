"""Forecasts beside what came, in the database: the record by which they are judged.

What the forecaster itself learns from does not depend on it: after a restart it follows from the rollups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, delete, insert, select, update

from context_builder.risk.forecast.forecaster import ALARM_PROBABILITY, HORIZON_MINUTES
from context_builder.risk.measures.history import History
from context_builder.risk.outlook import HORIZON, Outlook
from models import RiskForecast
from models.database import ReadSession, WriteSession

KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """How good the matured forecasts of a span were; None where there were none to judge."""

    forecasts: int
    skill: float | None
    """1 - mean absolute error / that of "as now"."""
    coverage: float | None
    """Share of outcomes inside the 90 % interval."""
    probabilities: int
    brier_skill: float | None
    """1 - Brier score / that of always giving the base rate."""
    false_alarms: int
    """Probabilities of at least ALARM_PROBABILITY without a breach."""


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


async def read_track_record(
    session: ReadSession, since: datetime, until: datetime, deployments: Sequence[int] = ()
) -> TrackRecord:
    """Judge the forecasts made in [since, until) that have matured; no deployments: all."""
    conditions: list[ColumnElement[bool]] = [
        RiskForecast.made_at >= since,
        RiskForecast.made_at < until,
        RiskForecast.outcome_ms.is_not(None),
    ]
    if deployments:
        conditions.append(RiskForecast.deployment_id.in_(deployments))
    one = RiskForecast
    columns = (one.now_ms, one.expected_ms, one.low_ms, one.high_ms, one.outcome_ms)
    found = await session.execute(select(*columns, one.breach_probability, one.breached).where(*conditions))
    table = np.array([tuple(row) for row in found], dtype=np.float64).reshape(-1, 7)
    now, expected, low, high, outcome, probability, breached = table.T
    spoke, bounded = ~np.isnan(expected), ~np.isnan(high)
    likely = ~np.isnan(probability) & ~np.isnan(breached)
    error = float(np.abs(outcome - expected)[spoke].sum())
    as_now = float(np.abs(outcome - now)[spoke].sum())
    base = float(breached[likely].mean()) if likely.any() else 0.0
    brier = float(((probability - breached)[likely] ** 2).mean()) if likely.any() else 0.0
    inside = (outcome >= low) & (outcome <= high)
    return TrackRecord(
        forecasts=int(spoke.sum()),
        skill=1 - error / as_now if as_now > 0 else None,
        coverage=float(inside[bounded].mean()) if bounded.any() else None,
        probabilities=int(likely.sum()),
        brier_skill=1 - brier / (base * (1 - base)) if 0 < base < 1 else None,
        false_alarms=int(((probability >= ALARM_PROBABILITY) & (breached == 0) & likely).sum()),
    )
