"""Measures of a minute are those of its requests, counted independently."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest

from context_builder.risk.measures.history import MEASURES, Minute
from context_builder.risk.measures.minutes import ENOUGH_REQUESTS, MIN_REQUESTS
from context_builder.risk.measures.reading import SETTLED_AFTER, read_database, read_new_minutes
from context_builder.rollups.span import minute_of
from models.histogram import Histogram
from tests.support.gateway import HOUR, MINUTE, NOON, Gateway
from tests.support.rollup_views import rollups_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def minutes(gateway: Gateway, start: datetime, end: datetime) -> list[Minute]:
    return list((await read_database(gateway.database, start, end)).minutes)


def value(minute: Minute, name: str, deployment: int = 1) -> float:
    (row,) = np.flatnonzero(minute.deployment_ids == deployment)
    return float(minute.measures[row, MEASURES.index(name)])


def p95(latencies: list[int]) -> float:
    found = Histogram.of(latencies).quantile(0.95)
    assert found is not None
    return found


async def test_a_minute_is_counted(gateway: Gateway) -> None:
    """Rate, requests in flight, shares of errors and of rate limits, and tokens a request."""
    await gateway.deployment()
    await gateway.user()
    sent = {"latency_ms": 3_000, "prompt_tokens": 100, "completion_tokens": 20}
    await gateway.send(*[NOON] * 9, **sent)
    await gateway.send(*[NOON] * 2, status="error", **sent)
    await gateway.send(NOON, status="rate_limited", **sent)
    (minute,) = await minutes(gateway, NOON, NOON + MINUTE)
    assert minute.number == minute_of(NOON)
    assert value(minute, "load_rps") == 12 / 60
    assert value(minute, "concurrency") == 12 * 3_000 / 60_000
    assert value(minute, "error_share") == 3 / 12
    assert value(minute, "limited_share") == 1 / 12
    assert value(minute, "prompt_tokens") == 100
    assert value(minute, "completion_tokens") == 20
    assert value(minute, "p50_ms") == p95([3_000] * 12)


async def test_fast_failures_do_not_make_a_deployment_look_fast(gateway: Gateway) -> None:
    """Only what was answered, or waited for in vain, says how long an answer takes."""
    await gateway.deployment()
    await gateway.user()
    await gateway.send(*[NOON] * 10, latency_ms=3_000)
    await gateway.send(*[NOON] * 10, status="timeout", latency_ms=30_000)
    await gateway.send(*[NOON] * 90, status="error", latency_ms=5)
    (minute,) = await minutes(gateway, NOON, NOON + MINUTE)
    assert value(minute, "p95_ms") == p95([3_000] * 10 + [30_000] * 10)
    assert value(minute, "error_share") == 100 / 110


async def test_latency_is_of_enough_requests(gateway: Gateway) -> None:
    """The p95 is of as few minutes as hold ENOUGH_REQUESTS, and there is none of fewer than MIN_REQUESTS."""
    await gateway.deployment()
    await gateway.user()
    per_minute = [[100 * (n + 1)] * (2 if n < 12 else ENOUGH_REQUESTS) for n in range(14)]
    for number, latencies in enumerate(per_minute):
        for latency in latencies:
            await gateway.append(
                [gateway.request(NOON + number * MINUTE, latency_ms=latency)] if latency else []
            )
    found = [value(one, "p95_ms") for one in await minutes(gateway, NOON, NOON + 14 * MINUTE)]
    few = -(-MIN_REQUESTS // 2) - 1
    assert np.isnan(found[:few]).all()
    assert found[few] == p95([latency for part in per_minute[: few + 1] for latency in part])
    assert found[11] == p95([latency for part in per_minute[2:12] for latency in part])
    assert found[12] == p95(per_minute[12])
    assert found[13] == p95(per_minute[13])


async def test_a_minute_without_requests_has_no_latency_but_a_load_of_nothing(gateway: Gateway) -> None:
    """Between busy minutes the load is 0, and p95 and shares are not known."""
    await gateway.deployment()
    await gateway.user()
    await gateway.send(*[NOON] * 30, *[NOON + 2 * MINUTE] * 30)
    (_, empty, _) = await minutes(gateway, NOON, NOON + 3 * MINUTE)
    assert value(empty, "load_rps") == 0
    assert np.isnan([value(empty, "p95_ms"), value(empty, "error_share")]).all()


async def test_an_empty_database_has_no_minutes(gateway: Gateway) -> None:
    """Nothing is read of nothing, and nothing fails."""
    assert await minutes(gateway, NOON - HOUR, NOON) == []


async def test_new_minutes_are_read_once_and_when_they_are_over(gateway: Gateway) -> None:
    """After the last one read, up to the last that ended SETTLED_AFTER ago."""
    await gateway.deployment()
    await gateway.user()
    await gateway.send(*[NOON - n * MINUTE for n in range(6) for _ in range(6)])
    async with rollups_of(gateway.database) as rollups:
        now = NOON + MINUTE + SETTLED_AFTER
        numbers = [one.number for one in await read_new_minutes(rollups, NOON - 3 * MINUTE, now)]
        assert numbers == [minute_of(NOON) - 2, minute_of(NOON) - 1, minute_of(NOON)]
        early = await read_new_minutes(rollups, NOON - 3 * MINUTE, now - SETTLED_AFTER / 2)
        assert [one.number for one in early] == numbers[:2]
        assert await read_new_minutes(rollups, NOON, now) == []
