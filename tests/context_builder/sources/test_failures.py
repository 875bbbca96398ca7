"""Failures are counted and timed by kind, and new kinds are marked."""

from __future__ import annotations

from datetime import timedelta

import pytest

from context_builder.question.request import Topic
from context_builder.source import Section, Status
from context_builder.sources.failures import MAX_CODES, MAX_DEPLOYMENTS, MAX_SAMPLE, source
from models.histogram import RELATIVE_ERROR
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway, asking, people

pytestmark = pytest.mark.asyncio(loop_scope="session")
SECOND = timedelta(seconds=1)


def about(section: Section, start: str) -> str:
    (found,) = [fact.text for fact in section.facts if fact.text.startswith(start)]
    return found


async def test_each_kind_is_counted_timed_and_placed(gateway: Gateway) -> None:
    """Counts are exact, p95 is within the histograms' error, and an unseen kind is new."""
    await people(gateway)
    for latency in range(100, 201):
        await gateway.send(NOON - 2 * HOUR, status="error", error_code="502", latency_ms=latency)
    await gateway.send(NOON - 90 * MINUTE, status="error", error_code="502", deployment="gpt-4/k8s")
    await gateway.send(NOON - 3 * DAY, NOON - 4 * DAY, status="error", error_code="502")
    await gateway.send(NOON - MINUTE, status="rate_limited", latency_ms=None)
    await gateway.send(NOON - MINUTE)
    section = await gateway.read(source)
    assert section.header == (
        "103 failed requests of 2 kinds of failure in the window, 1 of them not seen in the 7 days before"
    )
    known = about(section, "error 502")
    assert "102 failed requests (99.0 % of all failures)" in known
    assert "2 in the 7 days before, first seen 2026-03-06 12:00" in known
    assert "2026-03-10 10:00 to 2026-03-10 10:00" in known
    assert "on gpt-4/aws 101, gpt-4/k8s 1" in known
    p95 = int(known.split("p95 ")[1].split(" ms")[0])
    assert abs(p95 - 195) <= RELATIVE_ERROR * 195 + 1
    new = about(section, "rate_limited without a code")
    assert "NEW, first seen 2026-03-10 11:00" in new
    assert "no response time logged" in new
    assert about(section, "failures on gpt-4/k8s").startswith("failures on gpt-4/k8s: error 502 1;")
    assert all(fact.topics == {Topic.ERRORS} and fact.kind for fact in section.facts)


async def test_endpoints_are_of_all_failures_or_of_the_newest(gateway: Gateway) -> None:
    """Endpoints come from the newest failures, and the text says if that is a sample."""
    await people(gateway)
    moments = [NOON - HOUR - n * SECOND for n in range(MAX_SAMPLE - 1)]
    await gateway.send(*moments, status="timeout", endpoint="/v1/embeddings")
    await gateway.send(NOON - 5 * HOUR, status="error", error_code="500", endpoint="/v1/old")
    section = await gateway.read(source)
    assert "endpoint /v1/old: 1 of the newest 500 failed requests" in about(section, "endpoint /v1/old")
    await gateway.send(*[NOON - MINUTE] * 3, status="error", endpoint="/v1/messages")
    section = await gateway.read(source)
    assert "3 of the newest 500 failed requests" in about(section, "endpoint /v1/messages")
    assert not [fact for fact in section.facts if "/v1/old" in fact.text]
    narrow = await gateway.read(source, asking(since=NOON - 5 * MINUTE))
    assert about(narrow, "endpoint /v1/messages").startswith(
        "endpoint /v1/messages: 3 of all 3 failed requests in scope; error without a code 3; response time"
    )


async def test_endpoints_of_hidden_tiers_are_a_gap(gateway: Gateway) -> None:
    """Users who changed tier in the window are left out of endpoints, which is a gap."""
    await people(gateway)
    await gateway.send(NOON - HOUR, status="error", endpoint="/v1/messages")
    await gateway.user("user_new", "premium", updated_at=NOON - MINUTE)
    section = await gateway.read(source, asking(tiers=("premium",)))
    assert section.gaps == ("endpoints for 1 user whose tier or budget changed in the window or later",)


async def test_many_codes_stay_bounded(gateway: Gateway) -> None:
    """Facts are bounded and counts are complete, however many codes and deployments fail."""
    for number in range(20):
        await gateway.deployment(f"m/{number:02}")
    await gateway.user()
    await gateway.append(
        [
            gateway.request(
                NOON - MINUTE, deployment=f"m/{number % 20:02}", status="error", error_code=f"E{number}"
            )
            for number in range(60)
        ]
    )
    section = await gateway.read(source)
    assert section.header.startswith("60 failed requests of 60 kinds of failure")
    assert len(section.facts) <= MAX_CODES + MAX_DEPLOYMENTS + 1
    assert all(0 <= fact.importance <= 1 for fact in section.facts)


async def test_nothing_failed_is_empty(gateway: Gateway) -> None:
    """Successful and pending requests are not failures."""
    await people(gateway)
    await gateway.send(NOON - MINUTE, NOON - HOUR)
    await gateway.send(NOON - MINUTE, status="pending", latency_ms=None)
    section = await gateway.read(source)
    assert (section.status, section.header) == (Status.EMPTY, "no failed requests in the window")
