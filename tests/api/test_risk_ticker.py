"""The ticker: it survives an outage, ends with the service, and stores what changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
import pytest_asyncio
from sqlalchemy import select

from api.risk_ticker import Feed, RiskTicker
from context_builder.queries.errors import QueryTimeout
from context_builder.risk.outlook import Outlook
from context_builder.risk.policy.arms import Arm, arm_at
from context_builder.risk.policy.decision import RouteRequest
from context_builder.risk.policy.verdicts import VerdictBoard
from models import RiskForecast, RiskTransition
from models.database import Database, ReadSession
from models.errors import DatabaseUnreachable
from tests.support.gateway import MINUTE, NOON, Gateway, people
from tests.support.patience import PATIENCE_S

SECOND = timedelta(seconds=1)
AWS = "gpt-4/aws"


class Clock:
    """Noon, until it is set."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest_asyncio.fixture
async def gateway(database_url: str) -> AsyncIterator[Gateway]:
    database = Database(database_url)
    gateway = Gateway(database)
    await people(gateway)
    yield gateway
    await database.close()


async def fail(gateway: Gateway, at: datetime, times: int = 10) -> None:
    for _ in range(times):
        await gateway.send(at, status="timeout", latency_ms=None)


async def test_a_decision_knows_how_long_this_request_takes(gateway: Gateway) -> None:
    """A long request is expected to take longer than a short one, as those before it did."""
    ticker = RiskTicker(gateway.database, every_s=10, clock=Clock())
    for number in range(200):
        tokens = 20 if number % 2 else 2_000
        await gateway.send(NOON - number * SECOND, latency_ms=10 * tokens, prompt_tokens=tokens)
    await ticker.tick()
    short, long = (
        ticker.router.decide(RouteRequest((AWS,), prompt_tokens=tokens), ticker.board.table)
        for tokens in (20, 2_000)
    )
    assert short.expected_ms(short.chosen) == pytest.approx(200, rel=0.3)
    assert long.expected_ms(long.chosen) == pytest.approx(20_000, rel=0.3)


@pytest.mark.both_databases
async def test_observed_failures_open_a_breaker_and_are_stored(gateway: Gateway) -> None:
    """Once, in words, and marked as advice while the policy only advises."""
    clock = Clock()
    ticker = RiskTicker(gateway.database, every_s=10, clock=clock)
    await fail(gateway, NOON - SECOND)
    await ticker.tick()
    await ticker.tick()
    assert ticker.board.table.number == 1
    assert ticker.board.table.verdicts[AWS].is_ejected
    async with gateway.database.read() as session:
        stored = (await session.scalars(select(RiskTransition))).all()
    assert [(row.from_state, row.to_state, row.shadow) for row in stored] == [("closed", "open", True)]
    assert stored[0].reason == "10 of 10 requests failed in 30 s"
    restarted = RiskTicker(gateway.database, every_s=10, clock=clock)
    clock.now = NOON + 50 * SECOND
    await restarted.tick()
    assert restarted.board.table.verdicts[AWS].is_ejected


async def test_workers_that_tick_at_the_same_moment_store_a_transition_once(gateway: Gateway) -> None:
    """Each keeps its own breakers, and they agree."""
    workers = [RiskTicker(gateway.database, every_s=10, clock=Clock()) for _ in range(3)]
    await fail(gateway, NOON - SECOND)
    for worker in workers:
        await worker.tick()
    async with gateway.database.read() as session:
        assert len((await session.scalars(select(RiskTransition))).all()) == 1
    returns = {worker.board.table.verdicts[AWS].returns_in_s for worker in workers}
    assert len(returns) == 1


async def test_a_tick_in_an_outage_leaves_the_table_and_the_next_one_goes_on(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transition that could not be stored is stored later, and none is lost."""
    clock = Clock()
    ticker = RiskTicker(gateway.database, every_s=10, clock=clock)
    await ticker.tick()
    before = ticker.board.table

    def unreachable(*_: object, **__: object) -> None:
        raise DatabaseUnreachable("no database")

    clock.now += 10 * SECOND
    with monkeypatch.context() as outage:
        outage.setattr(gateway.database, "read", unreachable)
        with pytest.raises(DatabaseUnreachable):
            await ticker.tick()
    assert ticker.board.table is before
    await fail(gateway, clock.now)
    with monkeypatch.context() as outage:
        outage.setattr(gateway.database, "write", unreachable)
        await ticker.tick()
    assert ticker.board.table.verdicts[AWS].is_ejected
    clock.now += 10 * SECOND
    await ticker.tick()
    async with gateway.database.read() as session:
        assert len((await session.scalars(select(RiskTransition))).all()) == 1


async def test_the_loop_survives_failures_and_ends_with_its_context(gateway: Gateway) -> None:
    """A failure is told until a tick succeeds, and no task is left behind."""
    clock, tries = Clock(), 0

    async def failing_first(_session: ReadSession, _moment: datetime) -> dict[int, object]:
        nonlocal tries
        tries += 1
        clock.now += SECOND
        if tries < 3:
            raise QueryTimeout("too slow")
        return {}

    ticker = RiskTicker(gateway.database, every_s=0.01, clock=clock, read_outlooks=failing_first)  # type: ignore[arg-type]
    tasks = len(asyncio.all_tasks())
    async with ticker.ticking():
        table = await ticker.next_after(0)
        assert table.number == 1
        await ticker.next_after(1)
    assert tries >= 3
    assert ticker.failure == ""
    assert len(asyncio.all_tasks()) == tasks


async def test_a_forecaster_feeds_the_ticks_from_beside_them(gateway: Gateway) -> None:
    """Its failures leave the observations alone, and its outlooks reach the verdicts."""
    clock, tries = Clock(), 0
    key = gateway.deployments[AWS]

    async def feed(moment: datetime) -> dict[int, Outlook]:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise DatabaseUnreachable("no forecasts")
        clock.now += SECOND
        return {key: risky(key, moment)}

    async def make_feed() -> Feed:
        return feed

    ticker = RiskTicker(gateway.database, every_s=0.01, clock=clock, make_feed=make_feed)
    async with ticker.ticking(), asyncio.timeout(PATIENCE_S):
        table = ticker.board.table
        while table.moment is None or table.verdicts[AWS].probability is None:
            table = await ticker.next_after(table.number)
    assert table.verdicts[AWS].probability == 0.7
    assert table.verdicts[AWS].expert == "ewma"


def risky(key: int, moment: datetime) -> Outlook:
    """Return an outlook with a likely breach."""
    return Outlook(
        deployment_id=key,
        moment=moment,
        expert="ewma",
        skill=0.2,
        matured=150,
        latency_ms=900.0,
        low_ms=700.0,
        high_ms=1200.0,
        baseline_ms=500.0,
        limit_ms=1000.0,
        load_rps=1.0,
        headroom=0.2,
        breach_probability=0.7,
        silence="",
        anomaly="",
        last_false_alarm=None,
    )


def forecasts(key: int, *, skilled: bool) -> list[RiskForecast]:
    """Return a day of forecasts of one deployment, with a breach each four hours that is warned of."""
    return [
        RiskForecast(
            deployment_id=key,
            made_at=NOON - (number + 6) * MINUTE,
            due_at=NOON - (number + 1) * MINUTE,
            expert="ewma",
            now_ms=100.0,
            expected_ms=115.0 if skilled else 80.0,
            outcome_ms=120.0,
            breach_probability=0.9 if number % 240 < 10 else 0.05,
            breached=number % 240 < 10,
            matured_at=NOON - number * MINUTE,
        )
        for number in range(23 * 60 + 30)
    ]


@pytest.mark.long
async def test_in_a_switchback_test_the_policy_acts_in_the_blocks_of_one_arm(gateway: Gateway) -> None:
    """Workers agree on the arm without a word; without skill none of them acts."""
    block = timedelta(minutes=5)
    skilled = gateway.deployments[AWS]
    clock = Clock()
    workers = [
        RiskTicker(gateway.database, every_s=10, may_act=True, block=block, clock=clock) for _ in range(2)
    ]
    await workers[0].tick()
    assert workers[0].board.table.shadow, "nothing has earned it yet"
    await gateway.add(*forecasts(skilled, skilled=True))
    shadows = []
    for _ in range(8):
        clock.now += block
        for worker in workers:
            worker._judged_at = None
            await worker.tick()
        first, second = (worker.board.table.shadow for worker in workers)
        assert first is second is (arm_at(clock.now, block) is Arm.A)
        shadows.append(first)
    assert set(shadows) == {True, False}


@pytest.mark.long
@pytest.mark.parametrize("skilled", [True, False])
async def test_the_policy_acts_only_if_it_may_and_its_forecasts_have_earned_it(
    gateway: Gateway, *, skilled: bool
) -> None:
    """Shadow mode is the default; a refusal says which goal fails, and the policy goes on advising."""
    await gateway.add(*forecasts(gateway.deployments[AWS], skilled=skilled))
    advising = RiskTicker(gateway.database, every_s=10, clock=Clock())
    acting = RiskTicker(gateway.database, every_s=10, may_act=True, clock=Clock())
    await advising.tick()
    await acting.tick()
    assert advising.board.table.shadow
    assert advising.refusal == ""
    assert acting.board.table.shadow is not skilled
    assert acting.refusal.startswith("promotion is refused: skill: mean -1.00") is not skilled


async def test_without_an_interval_it_looks_when_it_is_asked(gateway: Gateway) -> None:
    """A program that never asks for a route reads nothing; one that asks later sees the fleet of then."""
    ticker = RiskTicker(gateway.database, every_s=0)
    now_s = [0.0]
    ticker.board = VerdictBoard(lambda: now_s[0])
    async with ticker.ticking():
        assert ticker.board.table.moment is None
        tables = await asyncio.gather(*(ticker.current() for _ in range(5)))
        assert {table.number for table, _ in tables} == {1}
        now_s[0] = 9.0
        assert (await ticker.current())[0].number == 1
        now_s[0] = 11.0
        assert (await ticker.current())[0].number == 2
