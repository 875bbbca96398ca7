"""What single requests say is told with the changes that they explain, and in their place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

import pytest

from context_builder.exploration.exploration import Exploration
from context_builder.exploration.series.metric import Metric
from context_builder.sources.changes import source
from models.request_log import NewRequest
from tests.support.faulty_sources import Plan, failing, live, settle
from tests.support.gateway import HOUR, MINUTE, NOON, Gateway, asking
from tests.support.rollup_views import rollups_of

pytestmark = pytest.mark.asyncio(loop_scope="session")
SINCE = NOON - 4 * HOUR


def insisting(times: int) -> Plan:
    """Clients try so often again after a failure, and fail again; each request is as long as no other."""
    number = iter(range(1_000_000))

    def plan(request: NewRequest) -> Iterable[NewRequest]:
        whole = replace(request, prompt_tokens=next(number))
        yield whole
        for turn in range(1, times + 1) if request.status == "timeout" else ():
            again = request.created_at + turn * MINUTE / 12
            yield replace(whole, public_id=f"{request.public_id}_{turn}", created_at=again)

    return plan


def longer(times: int, **where: object) -> Plan:
    """Prompts of some requests grow; every token takes a millisecond and costs the same."""

    def plan(request: NewRequest) -> Iterable[NewRequest]:
        hit = request.created_at >= SINCE and all(getattr(request, name) == v for name, v in where.items())
        tokens = (request.latency_ms or 0) * (times if hit else 1)
        cost = Decimal(tokens) / 100_000
        yield replace(request, latency_ms=tokens, prompt_tokens=tokens, completion_tokens=50, cost_usd=cost)

    return plan


async def test_retries_are_told_as_the_rise_that_they_make(gateway: Gateway) -> None:
    """Since the failures, of the slice that fails, by the factor that the log shows."""
    await settle(gateway)
    (failed,) = gateway.id_of("llama-70b/k8s")
    await live(gateway, failing(0.7, SINCE, deployment_id=failed), insisting(3))
    async with rollups_of(gateway.database) as rollups:
        shifts = (await Exploration(rollups).findings(asking())).shifts
    failures = next(one for one in shifts if one.metric is Metric.ERRORS)
    (rise,) = [one for one in shifts if one.metric is Metric.VOLUME]
    assert (rise.slice, rise.onset) == (failures.slice, failures.onset)
    assert rise.retries is not None
    sent = [one for one in gateway.sent if one.deployment_id == failed and one.created_at >= rise.onset]
    repeated = [one for one in sent if one.public_id.count("_") > 1]
    assert rise.retries.share == pytest.approx(len(repeated) / len(sent), abs=0.02)
    assert rise.after == pytest.approx(len(sent) / (len(sent) - len(repeated)), rel=0.05)
    text = (await gateway.read(source)).facts
    assert any("without retries" in fact.text and "repeat failed ones (504)" in fact.text for fact in text)


async def test_longer_prompts_are_told_as_such_and_nothing_as_broken(gateway: Gateway) -> None:
    """The split of latency and cost is shown, and that failures are as usual."""
    await settle(gateway)
    await live(gateway, longer(2, user_id=gateway.id_of("user_a")[0]))
    facts = (await gateway.read(source)).facts
    slowed = next(fact.text for fact in facts if "slowed down" in fact.text)
    assert "the same requests would now take" in slowed
    assert "prompts have 2" in slowed
    assert any(fact.text.startswith("Nothing is broken: the traffic changed") for fact in facts)


async def test_slower_answers_to_the_same_requests_are_no_mix(gateway: Gateway) -> None:
    """Nothing is said to be well where every request takes longer."""
    await settle(gateway)

    def slow(request: NewRequest) -> Iterable[NewRequest]:
        (one,) = longer(1)(request)
        late = request.created_at >= SINCE
        yield replace(one, latency_ms=(one.latency_ms or 0) * (3 if late else 1))

    await live(gateway, slow)
    facts = (await gateway.read(source)).facts
    slowed = next(fact.text for fact in facts if "slowed down" in fact.text)
    assert "the same requests would now take" in slowed
    assert "the mix" not in slowed
    assert not any(fact.text.startswith("Nothing is broken") for fact in facts)
