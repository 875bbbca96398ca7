"""What is to come is told with its grounds, or why nothing is told."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from context_builder.question.request import Topic
from context_builder.risk.records.objectives import set_objective
from context_builder.source import Role, Section, Status
from context_builder.sources.risk import LEARNED_FROM, MAX_FACTS, source
from tests.support.gateway import MINUTE, NOON, Gateway, asking

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.long]
STEPS = LEARNED_FROM // MINUTE


async def busy(gateway: Gateway, deployment: str, minutes: int = STEPS, growth: float = 0.0) -> None:
    """Twenty requests a minute until NOON of varying latency, which with `growth` rises for 15 minutes."""
    chance = random.Random(deployment)  # noqa: S311  the same numbers in every run
    rows = []
    for number in range(minutes):
        noise = chance.gauss(0, 0.15)
        rise = growth * max(0, number - minutes + 15)
        latency = round(1_000 * math.exp(noise + rise))
        moment = NOON - (minutes - number) * MINUTE
        rows += [gateway.request(moment, deployment=deployment, latency_ms=latency + n) for n in range(20)]
    await gateway.append(rows)


def fact(section: Section, deployment: str) -> str:
    (found,) = [one.text for one in section.facts if one.text.startswith(f"{deployment}: ")]
    return found


async def test_an_objective_is_the_limit_that_is_told(gateway: Gateway) -> None:
    """A steady deployment that is always above its objective is said to stay there."""
    await gateway.deployment("gpt-4/aws")
    await gateway.user()
    await busy(gateway, "gpt-4/aws")
    async with gateway.database.write() as session:
        await set_objective(session, "gpt-4/aws", 500)
    told = fact(await gateway.read(source, asking()), "gpt-4/aws")
    assert "p95 latency stays above its limit of 500 ms" in told


async def test_a_rise_is_a_risk_and_a_steady_deployment_is_none(gateway: Gateway) -> None:
    """The likeliest breach comes first, with probability, interval, limit, forecaster, skill and number."""
    await gateway.deployment("gpt-4/aws", "gpt-4/k8s")
    await gateway.user()
    await busy(gateway, "gpt-4/aws")
    await busy(gateway, "gpt-4/k8s", growth=0.035)
    section = await gateway.read(source, asking())
    assert section.status is Status.OK
    first = section.facts[0]
    assert first.text.startswith("gpt-4/k8s: ")
    for words in (
        "probability that p95 latency ", "90 % interval", "usual ", "headroom ", "forecast by ",
        " less error than assuming no change over ", "matured forecasts", "false alarm",
    ):  # fmt: skip
        assert words in first.text
    assert first.headline is not None
    assert first.headline.role is Role.RANKING
    assert first.headline.alarm is True
    assert [one.text.partition(":")[0] for one in section.facts] == ["gpt-4/k8s", "gpt-4/aws"]
    again = await gateway.read(source, asking())
    assert again == section


async def test_little_history_is_no_forecast(gateway: Gateway) -> None:
    """A deployment that has begun is named with what is missing."""
    await gateway.deployment("gpt-4/aws")
    await gateway.user()
    await busy(gateway, "gpt-4/aws", minutes=40)
    section = await gateway.read(source, asking())
    assert "no forecast of a breach: only 35 of the 100 forecasts that a probability needs" in fact(
        section, "gpt-4/aws"
    )
    assert "no forecast for 1 deployment" in section.header
    assert section.gaps == ("what comes of 1 deployment without a forecast",)


async def test_nothing_later_than_the_moment_is_known(gateway: Gateway) -> None:
    """Requests after `as_of` change nothing."""
    await gateway.deployment("gpt-4/aws")
    await gateway.user()
    await busy(gateway, "gpt-4/aws", minutes=60)
    before = await gateway.read(source, asking(NOON - 20 * MINUTE))
    await gateway.send(*[NOON - n * MINUTE for n in range(20)] * 5, latency_ms=90_000)
    assert await gateway.read(source, asking(NOON - 20 * MINUTE)) == before


async def test_other_questions_cost_nothing(gateway: Gateway) -> None:
    """A question about something else is not kept waiting for forecasts."""
    await gateway.deployment("gpt-4/aws")
    await gateway.user()
    await busy(gateway, "gpt-4/aws", minutes=10)
    section = await gateway.read(source, replace(asking(), topics=frozenset({Topic.COST})))
    assert (section.status, section.facts) == (Status.EMPTY, ())


async def test_many_deployments_are_told_in_part(gateway: Gateway) -> None:
    """Beyond MAX_FACTS those without a forecast share a fact."""
    names = [f"m{n}/aws" for n in range(MAX_FACTS + 5)]
    await gateway.deployment(*names)
    await gateway.user()
    await gateway.append(
        [gateway.request(NOON - MINUTE, deployment=name) for name in names for _ in range(6)]
    )
    section = await gateway.read(source, asking())
    assert len(section.facts) == MAX_FACTS + 1
    assert section.facts[-1].text.startswith("further deployments without a forecast: ")
