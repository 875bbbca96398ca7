"""The record holds what was forecast and what came, once each."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from context_builder.risk.forecast.forecaster import HORIZON_MINUTES, Forecaster
from context_builder.risk.learning.drift import MIN_MINUTES, DriftMonitor
from context_builder.risk.learning.matured import (
    KEPT,
    store_forecasts,
    store_outcomes,
)
from context_builder.risk.measures.series_table import Floats
from context_builder.rollups.span import MINUTE, moment_of
from models import RiskForecast
from tests.support.gateway import Gateway
from tests.support.risk_minutes import START, fed, minute, noisy

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.both_databases]


async def rows(gateway: Gateway) -> list[RiskForecast]:
    async with gateway.database.read() as session:
        return list(await session.scalars(select(RiskForecast).order_by(RiskForecast.made_at)))


async def recorded(gateway: Gateway, forecaster: Forecaster) -> datetime:
    """Store the forecasts and outcomes of the newest minute."""
    assert forecaster.history.last is not None
    at = moment_of(forecaster.history.last + 1)
    async with gateway.database.write() as session:
        await store_outcomes(session, forecaster.history, at)
        await store_forecasts(session, forecaster.history, forecaster.tick(at), at)
    return at


async def test_a_forecast_meets_its_outcome(gateway: Gateway) -> None:
    """After the horizon the row has the p95 of that minute, and whether the limit was crossed on the way."""
    await gateway.deployment()
    forecaster = fed(noisy(120), Forecaster(objectives={1: 1_400.0}))
    made = await recorded(gateway, forecaster)
    for number in range(120, 120 + HORIZON_MINUTES):
        forecaster.observe(minute(number, [2_000.0 if number == 121 else 1_000.0]))
        await recorded(gateway, forecaster)
    first = (await rows(gateway))[0]
    assert (first.made_at, first.due_at) == (made, made + HORIZON_MINUTES * MINUTE)
    assert first.outcome_ms == pytest.approx(1_000.0)
    assert first.breached is True
    assert first.matured_at == first.due_at
    assert first.expected_ms is not None
    assert sum(row.outcome_ms is not None for row in await rows(gateway)) == 1


async def test_a_moment_is_stored_once(gateway: Gateway) -> None:
    """Storing the same moment again, as after a restart, changes nothing."""
    await gateway.deployment()
    forecaster = fed(noisy(20))
    await recorded(gateway, forecaster)
    before = [(row.id, row.expected_ms) for row in await rows(gateway)]
    await recorded(gateway, fed(noisy(20, seed=1)))
    assert [(row.id, row.expected_ms) for row in await rows(gateway)] == before


async def test_what_fell_due_while_nobody_looked_stays_unknown(gateway: Gateway) -> None:
    """After a pause the outcome is not taken from another minute."""
    await gateway.deployment()
    forecaster = fed(noisy(20))
    await recorded(gateway, forecaster)
    forecaster.observe(minute(20 + 4 * HORIZON_MINUTES, [900.0]))
    await recorded(gateway, forecaster)
    first = (await rows(gateway))[0]
    assert (first.outcome_ms, first.breached) == (None, None)
    assert first.matured_at is not None


async def test_old_forecasts_are_removed(gateway: Gateway) -> None:
    """Rows older than KEPT go."""
    await gateway.deployment()
    at = moment_of(START + 20)
    await gateway.add(forecast(at - KEPT - MINUTE), forecast(at - KEPT + MINUTE))
    await recorded(gateway, fed(noisy(20)))
    assert min(row.made_at for row in await rows(gateway)) == at - KEPT + MINUTE


def forecast(at: datetime, **columns: Any) -> RiskForecast:
    given: dict[str, Any] = {"deployment_id": 1, "expert": "ewma", "now_ms": 100.0}
    return RiskForecast(**given | {"made_at": at, "due_at": at + timedelta(minutes=5)} | columns)


def drifts(errors: Floats) -> list[int]:
    """Return the minutes at which a training is asked for."""
    monitor = DriftMonitor()
    return [number for number, row in enumerate(errors) if monitor.update(row)]


async def test_drift_is_noticed_and_outages_are_not() -> None:
    """Errors that double and stay are a drift; usual ones are not, nor is one minute of huge ones."""
    usual = noisy(3_000, 4, level=1.0)
    assert drifts(usual) == []
    worse = np.concatenate([usual[:500], 2 * usual[500:700]])
    assert drifts(worse)[0] > max(500, MIN_MINUTES)
    few = usual.copy()
    few[600] = 1e9
    assert drifts(few) == []
