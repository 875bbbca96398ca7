"""Percentiles match the sent requests, and only real changes are notable."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.question.request import Window
from context_builder.source import Fact, Section, Status
from context_builder.sources.latency import MAX_BUCKETS, MAX_DEPLOYMENTS, MAX_ROUTER_FACTS, MIN_TIMED, source
from context_builder.telemetry.rollups import baseline_window
from models.histogram import RELATIVE_ERROR
from models.request_log import NewRequest
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway, asking

pytestmark = pytest.mark.asyncio(loop_scope="session")

FIGURES = re.compile(r"p50 ([\d,]+) ms, p95 ([\d,]+) ms, p99 ([\d,]+) ms over ([\d,]+) timed request")


def agrees(written: str, sent: Sequence[NewRequest]) -> bool:
    """Check percentiles against the sent requests: counts exact, latencies within the error."""
    latencies = sorted(r.latency_ms for r in sent if r.latency_ms is not None)
    if not latencies:
        return written.strip() == "no timed requests"
    found = FIGURES.search(written)
    assert found is not None, written
    *percentiles, total = (int(number.replace(",", "")) for number in found.groups())
    exact = [latencies[int(fraction * (len(latencies) - 1))] for fraction in (0.5, 0.95, 0.99)]
    # Half a millisecond more, since figures are whole milliseconds.
    close = [abs(p - e) <= RELATIVE_ERROR * e + 0.5 for p, e in zip(percentiles, exact, strict=True)]
    return total == len(latencies) and all(close)


def about(section: Section, start: str) -> Fact:
    (found,) = [fact for fact in section.facts if fact.text.startswith(start)]
    return found


@given(st.integers(0, 8 * 24 * 60), st.integers(1, 400) | st.integers(1, 3 * 24 * 60))
@settings(max_examples=30, deadline=None)
async def test_every_percentile_is_that_of_the_requests_sent(busy: Gateway, back: int, length: int) -> None:
    """Percentiles match in any window, overall and by tier and deployment, now and before."""
    window = Window(NOON - (back + length) * MINUTE, NOON - back * MINUTE)
    section = await busy.read(source, asking(since=window.start, until=window.end))
    sent, before = busy.sent_in(window), busy.sent_in(baseline_window(window))
    if not any(r.latency_ms is not None for r in sent):
        assert section.status is Status.EMPTY
        return
    now, past = section.header.split("; the 7 days before: ")
    assert agrees(now, sent)
    assert agrees(past, before)
    groups: dict[str, tuple[str, object]] = {
        f"tier {tier}": ("tier", tier) for tier in ("premium", "standard", "budget")
    }
    groups |= {f"deployment {name}": ("deployment_id", number) for name, number in busy.deployments.items()}
    told = {fact.text.split(":")[0]: fact.text for fact in section.facts if " by router" not in fact.text}
    for name, (field, value) in groups.items():
        of_now, of_past = ([r for r in side if getattr(r, field) == value] for side in (sent, before))
        timed = [r for r in of_now if r.latency_ms is not None]
        assert (name in told) is bool(timed)
        if timed:
            now, past = told[name].split("; the 7 days before: ")
            assert agrees(now, of_now)
            assert agrees(past.split("; p95 is")[0], of_past)


SPAN = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d) ([\d,]+)/([\d,]+)/([\d,]+) \(([\d,]+)\)")


@pytest.mark.parametrize(
    ("back", "length"),
    [(0, 24 * 60), (7, 100), (31, 6 * 60 + 1), (0, 12 * 60), (13, 12 * 60 + 5), (61, 7 * 24 * 60), (5, 3)],
)
async def test_the_series_adds_up_to_what_was_sent(busy: Gateway, back: int, length: int) -> None:
    """At most MAX_BUCKETS spans cover the window, each with the percentiles of its requests."""
    window = Window(NOON - (back + length) * MINUTE, NOON - back * MINUTE)
    section = await busy.read(source, asking(since=window.start, until=window.end))
    found = SPAN.findall(about(section, "p50/p95/p99 in ms over the window").text)
    assert 2 <= len(found) <= MAX_BUCKETS
    starts = [datetime.strptime(span[0], "%Y-%m-%d %H:%M").replace(tzinfo=UTC) for span in found]
    assert starts == sorted(starts)
    sent = [r for r in busy.sent_in(window) if r.latency_ms is not None]
    assert sum(int(span[4].replace(",", "")) for span in found) == len(sent)
    for start, end, (_, p50, p95, p99, total) in zip(starts, [*starts[1:], window.end], found, strict=True):
        of_span = [r for r in sent if start <= r.created_at < end]
        assert agrees(f"p50 {p50} ms, p95 {p95} ms, p99 {p99} ms over {total} timed requests", of_span)


async def test_the_series_in_short_names_the_worst(gateway: Gateway) -> None:
    """The short form shows first, worst and last p95 of spans with enough requests."""
    await gateway.deployment()
    await gateway.user()
    for hours_ago, latency in ((10, 100), (6, 900), (2, 300)):
        await gateway.send(*[NOON - hours_ago * HOUR] * MIN_TIMED, latency_ms=latency)
    await gateway.send(NOON - 4 * HOUR, latency_ms=60_000)
    short = about(await gateway.read(source), "p50/p95/p99").short
    first, worst, last = re.findall(r"(\w+) ([\d,]+) ms at 2026-03-10 (\d\d):00", short)
    assert (first[0], first[2], worst[0], worst[2], last[0], last[2]) == (
        "first",
        "02",
        "worst",
        "06",
        "last",
        "10",
    )
    assert int(worst[1]) == pytest.approx(900, rel=RELATIVE_ERROR, abs=1)


async def test_router_versions_are_compared_with_the_hours_of_each(busy: Gateway) -> None:
    """Each router version has the percentiles of the requests it routed."""
    section = await busy.read(source)
    span = Window(NOON - 8 * DAY, NOON)
    for name, number in busy.deployments.items():
        text = about(section, f"{name} by router version: under v2 ").text
        old, new = text.split("first to last hour seen: ")[1].split("; v2 ")
        for version, figures in (("v1", old), ("v2", new)):
            routed = busy.sent_in(span, deployment_id=number, router_version=version)
            assert agrees(figures, routed)
            assert f"({min(r.created_at for r in routed):%Y-%m-%d %H}:00 to " in figures


async def steady(gateway: Gateway, latency_ms: int, start: datetime, number: int, **columns: str) -> None:
    await gateway.send(*(start + n * MINUTE for n in range(number)), latency_ms=latency_ms, **columns)


async def test_a_tier_that_became_slow_is_told_first(gateway: Gateway) -> None:
    """A notable change is more important and states its factor."""
    await gateway.deployment()
    for tier in ("premium", "standard"):
        await gateway.user(f"user_{tier}", tier)
        await steady(gateway, 1_000, NOON - 3 * DAY, 40, user=f"user_{tier}")
    await steady(gateway, 2_000, NOON - HOUR, 40, user="user_premium")
    await steady(gateway, 1_000, NOON - HOUR, 40, user="user_standard")
    section = await gateway.read(source)
    slow, same = about(section, "tier premium"), about(section, "tier standard")
    assert slow.text.endswith("; p95 is 2.0 times what it was")
    assert same.text.endswith("; p95 is 1.0 times what it was")
    assert slow.importance > same.importance
    assert 0 <= same.importance < slow.importance <= 1


@pytest.mark.parametrize(("few", "compared"), [(MIN_TIMED - 1, False), (MIN_TIMED, True)])
async def test_few_requests_are_not_compared(gateway: Gateway, few: int, compared: bool) -> None:
    """With fewer than MIN_TIMED requests on a side nothing is compared."""
    await gateway.deployment()
    await gateway.user()
    await steady(gateway, 100, NOON - 2 * DAY, 50, router_version="v1")
    await steady(gateway, 900, NOON - HOUR, few, router_version="v2")
    section = await gateway.read(source)
    assert ("times what it was" in about(section, "tier premium").text) is compared
    assert any("by router version" in fact.text for fact in section.facts) is compared


async def test_the_newest_versions_are_compared_where_there_were_many(gateway: Gateway) -> None:
    """Versions are in order of first use; the oldest are left out."""
    await gateway.deployment()
    await gateway.user()
    for number in range(30):
        await steady(gateway, 100 + number, NOON - (40 - number) * HOUR, 20, router_version=f"v{number}")
    (fact,) = [f for f in (await gateway.read(source)).facts if "by router version" in f.text]
    assert fact.text.startswith("gpt-4/aws by router version: under v29 p95 is 1.0 times that of")
    assert re.findall(r"; (?:first to last hour seen: )?(v\d+) \(", fact.text) == ["v26", "v27", "v28", "v29"]
    assert len(fact.text) < 1_000


async def test_pending_requests_have_no_latency_yet(gateway: Gateway) -> None:
    """Requests without a latency are not timed; with nothing else the section is empty."""
    await gateway.deployment()
    await gateway.user()
    await gateway.send(NOON - HOUR, status="pending", latency_ms=None)
    section = await gateway.read(source)
    assert (section.status, section.header) == (Status.EMPTY, "no timed requests in the window")
    await gateway.send(NOON - HOUR, latency_ms=0)
    section = await gateway.read(source)
    assert section.header.startswith(
        "all requests in scope: p50 1 ms, p95 1 ms, p99 1 ms over 1 timed request;"
    )
    assert section.header.endswith("the 7 days before: no timed requests")


async def test_a_window_has_its_first_minute_and_not_its_last(gateway: Gateway) -> None:
    """The window is half-open at the minute."""
    await gateway.deployment()
    await gateway.user()
    since, until = NOON - 3 * HOUR - 20 * MINUTE, NOON - 20 * MINUTE
    tiny = timedelta(microseconds=1)
    await gateway.send(since - tiny, until, latency_ms=9_000)
    await gateway.send(since, until - tiny, latency_ms=10)
    section = await gateway.read(source, asking(since=since, until=until))
    assert section.header.startswith("all requests in scope: p50 10 ms, p95 10 ms, p99 10 ms over 2 timed")


async def test_only_what_is_in_scope_is_timed(busy: Gateway) -> None:
    """Scope restricts both tier and deployment."""
    here = busy.id_of("llama-70b/gcp")
    section = await busy.read(source, asking(deployment_ids=here, tiers=("standard",)))
    sent = [r for r in busy.sent_in(asking().window, tier="standard") if r.deployment_id in here]
    assert agrees(section.header.split(";")[0], sent)
    assert not [name for name in ("gpt-4", "mistral", "k8s", "premium", "budget") if name in str(section)]


async def test_very_many_deployments_are_bounded_to_the_busiest(gateway: Gateway) -> None:
    """Of many groups the busiest are shown; ties by name."""
    await gateway.user()
    names = [f"m{number:03}/b" for number in range(200)]
    await gateway.deployment(*names)
    requests = [gateway.request(NOON - 2 * HOUR, deployment=name) for name in names]
    busy = names[::10]
    for position, name in enumerate(busy):
        for start, latency_ms, version in ((NOON - DAY, 100, "v1"), (NOON - HOUR, 900, "v2")):
            requests += [
                gateway.request(
                    start + n * MINUTE, deployment=name, latency_ms=latency_ms, router_version=version
                )
                for n in range(25 + position // 2)
            ]
    await gateway.append(requests)
    section = await gateway.read(source)
    assert len(section.facts) == 2 + MAX_DEPLOYMENTS + MAX_ROUTER_FACTS
    told = [fact.text.split(":")[0] for fact in section.facts if fact.text.startswith("deployment ")]
    busiest_first = sorted(busy, key=lambda name: (-(busy.index(name) // 2), name))
    assert told == [f"deployment {name}" for name in busiest_first[:MAX_DEPLOYMENTS]]
    routed = [fact.text.split(" ")[0] for fact in section.facts if " by router version: " in fact.text]
    assert routed == busiest_first[:MAX_ROUTER_FACTS]
