"""Planted faults are attributed to their slice, with figures that match the sent requests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from context_builder.question.request import Topic, Window
from context_builder.source import Fact, Section, Status
from context_builder.sources.drivers import source
from context_builder.text.formatting import format_percent, format_time
from models import FAILED_STATUSES
from models.database import Database
from models.histogram import RELATIVE_ERROR
from models.request_log import NewRequest
from tests.support.faulty_sources import (
    FAILING_SINCE,
    FAILING_UNTIL,
    SLOW_SINCE,
    SURGE_SINCE,
    SURGE_UNTIL,
    WORSE_SINCE,
    live,
    rolled_out,
    settle,
    slower,
    surging,
)
from tests.support.gateway import HOUR, MINUTE, NOON, Gateway, asking

pytestmark = pytest.mark.asyncio(loop_scope="session")


NOUNS = {
    Topic.LATENCY: "responses ",
    Topic.ERRORS: "failure rate ",
    Topic.VOLUME: "request volume ",
    Topic.COST: "cost ",
    Topic.QUALITY: "quality scores ",
}
"""How facts about a metric begin; what changed at the same moment shares its topic."""


def about(section: Section, topic: Topic, *names: str) -> Fact:
    """Return the first fact about a metric; it contains all the names and matches the topic."""
    fact = next(fact for fact in section.facts if fact.text.startswith(NOUNS[topic]))
    assert topic in fact.topics
    assert all(name in fact.text for name in names), fact.text
    return fact


def numbers(text: str) -> list[int]:
    return [int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", text)]


def onset_of(fact: Fact, planted: datetime) -> datetime:
    """Return the start that a fact states, which is near the planted one."""
    written = re.search(r"(?:from|since) (\d{4}-\d\d-\d\d \d\d:\d\d)", fact.text)
    assert written is not None
    onset = datetime.fromisoformat(f"{written[1]}+00:00")
    assert abs(onset - planted) <= 15 * MINUTE
    return onset


def share(fact: Fact) -> float:
    """How much of the change a fact says that its slice drives."""
    (driven,) = re.findall(r"(?:drives|is) ([\d.]+) %", fact.text)
    return float(driven)


def timed(requests: Sequence[NewRequest]) -> list[int]:
    """Return the latencies of answered requests, sorted."""
    return sorted(r.latency_ms for r in requests if r.status == "success" and r.latency_ms is not None)


def agrees(written: str, requests: Sequence[NewRequest]) -> bool:
    """Check p50, p95 and the number of answered requests against the sent ones."""
    latencies = timed(requests)
    found = re.search(r"p50 ([\d,]+) ms, p95 ([\d,]+) ms over ([\d,]+) answered request", written)
    assert found is not None, written
    p50, p95, total = (number for group in found.groups() for number in numbers(group))
    exact = [latencies[int(fraction * (len(latencies) - 1))] for fraction in (0.5, 0.95)]
    close = [abs(p - e) <= RELATIVE_ERROR * e + 0.5 for p, e in zip((p50, p95), exact, strict=True)]
    return total == len(latencies) and all(close)


def before(onset: datetime) -> Window:
    """Return the span that a change is compared with: everything before it."""
    return Window(NOON - 9 * 24 * HOUR, onset)


async def test_slowness_of_a_pair_is_put_down_to_the_pair(troubled: Gateway) -> None:
    """Slow premium requests are attributed to tier and deployment, with exact percentiles."""
    fact = about(await troubled.read(source), Topic.LATENCY, "gpt-4/aws", "premium", "slowed down")
    assert share(fact) > 80
    onset = onset_of(fact, SLOW_SINCE)
    of = {"deployment_id": troubled.deployments["gpt-4/aws"], "tier": "premium"}
    since, past = fact.text.split("since then")
    assert agrees(since, troubled.sent_in(Window(onset, NOON), **of))
    assert agrees(past, troubled.sent_in(before(onset), **of))


async def test_a_burst_of_failures_is_put_down_to_its_deployment_and_code(troubled: Gateway) -> None:
    """A burst of failures that ended is attributed with exact counts."""
    section = await troubled.read(source)
    fact = about(section, Topic.ERRORS, "llama-70b/k8s", "failure rate rose")
    assert share(fact) > 80
    onset = onset_of(fact, FAILING_SINCE)
    of = {"deployment_id": troubled.deployments["llama-70b/k8s"]}
    figures = fact.text.partition(" traffic; ")[2]
    for window, written in zip(
        (Window(onset, FAILING_UNTIL), before(onset)), figures.split("since then"), strict=True
    ):
        sent = troubled.sent_in(window, **of)
        failed = sum(request.status in FAILED_STATUSES for request in sent)
        assert f"{failed:,} of {len(sent):,} requests failed ({format_percent(failed, len(sent))})" in written
    codes = [fact for fact in section.facts if "error code" in fact.text]
    assert [("504" in code.text, "502" in code.text) for code in codes] == [(True, False)]


async def test_a_surge_is_put_down_to_its_user(troubled: Gateway) -> None:
    """A surge is attributed to its user, with requests, cost and the expected amounts."""
    section = await troubled.read(source)
    fact = about(section, Topic.VOLUME, "user_c", "rose")
    assert share(fact) > 80
    onset = onset_of(fact, SURGE_SINCE)
    sent = troubled.sent_in(Window(onset, SURGE_UNTIL), tier="budget")
    counted, expected = numbers(fact.text.partition(" traffic; ")[2])[:2]
    assert counted == len(sent)
    assert expected == pytest.approx(len(sent) / 8, rel=0.1)
    cost = about(section, Topic.COST, "user_c", "rose")
    spent = sum(request.cost_usd for request in troubled.sent_in(Window(onset, SURGE_UNTIL), tier="budget"))
    assert f"${spent:.2f} for {len(sent):,} requests" in cost.text


async def test_a_drop_of_quality_is_put_down_to_its_deployment(troubled: Gateway) -> None:
    """Worse quality is attributed with means and counts of the scores that had arrived."""
    fact = about(await troubled.read(source), Topic.QUALITY, "mistral/gcp", "dropped")
    onset = onset_of(fact, WORSE_SINCE)
    of = {"deployment_id": troubled.deployments["mistral/gcp"], "status": "success"}
    known = Window(onset, NOON - 30 * MINUTE)
    after, past = (len(troubled.sent_in(window, **of)) for window in (known, before(onset)))
    assert re.search(
        rf"score 0\.5\d? over {after:,} scores since then, 0\.8\d over {past:,} scores", fact.text
    )


async def test_each_driver_is_a_fact_of_its_own(troubled: Gateway) -> None:
    """Short forms are prefixes of their texts, and importance is in (0, 1]."""
    section = await troubled.read(source)
    assert section.status is Status.OK
    assert all(0 < fact.importance <= 1 and fact.kind for fact in section.facts)
    assert all(
        fact.text.startswith(fact.short) and len(fact.short) < len(fact.text) for fact in section.facts
    )
    assert all(share(fact) > 0 for fact in section.facts)
    for topic in (Topic.LATENCY, Topic.ERRORS, Topic.QUALITY):
        asked = await troubled.read(source, replace(asking(), topics=frozenset({topic})))
        first = max(asked.facts, key=lambda fact: fact.importance)
        assert topic in first.topics


async def test_only_the_scope_is_explored(troubled: Gateway) -> None:
    """A healthy deployment has nothing significant, even if others do."""
    scope: dict[str, Any] = {"deployment_ids": troubled.id_of("gpt-4/aws"), "tiers": ("standard",)}
    section = await troubled.read(source, asking(**scope))
    assert (section.status, section.facts) == (Status.OK, ())
    assert "nothing significant" in section.header
    premium = await troubled.read(source, asking(tiers=("premium",)))
    assert "gpt-4/aws" in about(premium, Topic.LATENCY).text


async def test_a_moment_before_a_trouble_knows_nothing_of_it(troubled: Gateway) -> None:
    """A past moment shows only the changes that had started by then."""
    during = await troubled.read(source, asking(FAILING_UNTIL - 5 * MINUTE))
    about(during, Topic.ERRORS, "llama-70b/k8s")
    assert "slowed" not in str(during)
    earlier = await troubled.read(source, asking(FAILING_SINCE - MINUTE, since=FAILING_SINCE - 7 * HOUR))
    assert "failed" not in str(earlier.facts)
    assert format_time(FAILING_SINCE)[:-3] not in str(earlier.facts)


async def test_a_slow_router_version_is_named(gateway: Gateway) -> None:
    """A slow router version is named, not a deployment or a tier."""
    await settle(gateway)
    since = NOON - 4 * HOUR
    await live(gateway, rolled_out("v2", since, 0.5), slower(4, since, router_version="v2"))
    fact = about(await gateway.read(source), Topic.LATENCY, "router version v2")
    assert share(fact) > 80
    assert agrees(
        fact.text.split("since then")[0],
        gateway.sent_in(Window(onset_of(fact, since), NOON), router_version="v2"),
    )


async def test_silence_is_no_slice_and_not_called_normal(sqlite_url: str) -> None:
    """A complete gap has no slice and is not called normal."""
    database = Database(sqlite_url)
    gateway = Gateway(database)
    await settle(gateway)
    await live(gateway, surging(gateway, 0, NOON - 4 * HOUR, NOON - 3 * HOUR))
    section = await gateway.read(source)
    await database.close()
    assert (section.status, section.facts) == (Status.OK, ())
    assert "no requests" in section.header
    assert "nothing significant:" not in section.header


async def test_what_varies_by_chance_is_not_explained(sqlite_url: str) -> None:
    """A healthy gateway has nothing significant and no facts."""
    database = Database(sqlite_url)
    gateway = Gateway(database)
    await settle(gateway)
    await live(gateway, score=lambda _: 0.85, seed=2)
    for request in (asking(), asking(NOON - 5 * HOUR), asking(live=True, since=NOON - HOUR)):
        section = await gateway.read(source, request)
        assert (section.status, section.facts) == (Status.OK, ())
        assert "nothing significant" in section.header
    await database.close()
