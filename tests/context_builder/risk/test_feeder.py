"""The feeder brings a forecaster up to the database, also after a restart, and records what it forecast."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy import func, select

from context_builder.question.request import QuestionError
from context_builder.risk.feeder import Feeder
from context_builder.risk.forecast.forecaster import Forecaster
from context_builder.risk.measures.reading import SETTLED_AFTER
from context_builder.risk.records.objectives import set_objective
from models import RiskForecast
from tests.support.gateway import MINUTE, NOON, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def busy(gateway: Gateway, start: datetime, minutes: int) -> None:
    await gateway.append(
        [
            gateway.request(start + number * MINUTE, latency_ms=900 + 13 * (number * 7 % 11) + n)
            for number in range(minutes)
            for n in range(6)
        ]
    )


async def test_a_restart_forecasts_as_if_nothing_had_happened(gateway: Gateway) -> None:
    """A forecaster fed minute by minute and one that reads all of it back have the same outlooks."""
    await gateway.deployment()
    await gateway.user()
    await busy(gateway, NOON, 20)
    steady = Feeder(gateway.database, Forecaster(), stores=False)
    await steady.feed(NOON + 20 * MINUTE + SETTLED_AFTER)
    await busy(gateway, NOON + 20 * MINUTE, 3)
    for number in (21, 22, 23):
        outlooks = await steady.feed(NOON + number * MINUTE + SETTLED_AFTER)
    restarted = Feeder(gateway.database, Forecaster(), stores=False)
    assert await restarted.feed(NOON + 23 * MINUTE + SETTLED_AFTER) == outlooks
    assert outlooks[1].latency_ms is not None


async def test_forecasts_are_recorded_once_a_minute(gateway: Gateway) -> None:
    """Feeding again within a minute, or nothing new, stores nothing more."""
    await gateway.deployment()
    await gateway.user()
    await busy(gateway, NOON, 12)
    feeder = Feeder(gateway.database, Forecaster())
    for seconds in (10, 15, 40):
        await feeder.feed(NOON + 12 * MINUTE + seconds * SETTLED_AFTER / 10)
    async with gateway.database.read() as session:
        assert await session.scalar(select(func.count()).select_from(RiskForecast)) == 1


async def test_an_objective_counts_from_the_next_look_on(gateway: Gateway) -> None:
    """It is the limit, whatever is usual, until it is removed."""
    await gateway.deployment()
    await gateway.user()
    await busy(gateway, NOON, 12)
    feeder = Feeder(gateway.database, Forecaster(), stores=False)
    for number, objective in enumerate((None, 700, None)):
        async with gateway.database.write() as session:
            await set_objective(session, "gpt-4/aws", objective)
        await gateway.append([gateway.request(NOON + (12 + number) * MINUTE)])
        (found,) = (await feeder.feed(NOON + (13 + number) * MINUTE + SETTLED_AFTER)).values()
        assert found.limit_ms == objective


async def test_an_objective_needs_a_deployment(gateway: Gateway) -> None:
    """A name that nothing has is refused with those that are similar."""
    await gateway.deployment()
    async with gateway.database.write() as session:
        with pytest.raises(QuestionError, match="'gpt-4/awss' is not known; known names include gpt-4/aws"):
            await set_objective(session, "gpt-4/awss", 100)


async def test_an_empty_database_feeds_nothing(gateway: Gateway) -> None:
    """There is nothing to forecast and nothing to store."""
    assert await Feeder(gateway.database, Forecaster()).feed(NOON) == {}
