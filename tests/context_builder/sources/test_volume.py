"""Counts match the sent requests, in any window, by every dimension."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.question.request import Window
from context_builder.source import Section, Status
from context_builder.sources.volume import MAX_GROUPS, source
from context_builder.telemetry.rollups import baseline_window
from context_builder.text.formatting import format_count, format_percent
from models.request_log import NewRequest
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway, asking

pytestmark = pytest.mark.asyncio(loop_scope="session")

FAILED = ("error", "timeout", "rate_limited")


def fact(section: Section, title: str) -> str:
    """Return what the fact with this title lists."""
    (text,) = [fact.text for fact in section.facts if fact.text.startswith(f"{title}: ")]
    return text.removeprefix(f"{title}: ")


def ranked(names: Iterable[str]) -> list[tuple[str, int]]:
    return sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))


def dimensions(gateway: Gateway) -> dict[str, Callable[[NewRequest], str]]:
    names = {number: name for name, number in gateway.deployments.items()}
    return {
        "tier": lambda r: r.tier,
        "model": lambda r: names[r.deployment_id].split("/")[0],
        "backend": lambda r: names[r.deployment_id].split("/")[1],
        "deployment": lambda r: names[r.deployment_id],
    }


@given(st.integers(0, 9 * 24 * 60 - 1), st.integers(1, 400) | st.integers(1, 3 * 24 * 60))
@settings(max_examples=30, deadline=None)
async def test_every_figure_is_that_of_the_requests_sent(busy: Gateway, back: int, length: int) -> None:
    """Totals, shares, failures and baseline rates match in any window."""
    window = Window(NOON - (back + length) * MINUTE, NOON - back * MINUTE)
    section = await busy.read(source, asking(since=window.start, until=window.end))
    now, before = busy.sent_in(window), busy.sent_in(baseline_window(window))
    failed, failed_before = ([r for r in sent if r.status in FAILED] for sent in (now, before))
    if not now:
        assert section.status is Status.EMPTY
        return
    rate = format_percent(len(failed), len(now))
    head = f"{format_count(len(now), 'request')} in the window, {len(failed):,} failed ({rate})"
    assert section.header.startswith(head)
    pending = sum(r.status == "pending" for r in now)
    assert (f", {pending:,} pending;" in section.header) is (pending > 0)
    if before:
        assert section.header.endswith(f"{format_percent(len(failed_before), len(before))} failed")
    for dimension, name_of in dimensions(busy).items():
        expected = [f"{n} {c:,} ({format_percent(c, len(now))})" for n, c in ranked(map(name_of, now))]
        assert fact(section, f"requests by {dimension}") == ", ".join(expected)
        if not failed:
            continue
        totals, past, past_failed = (Counter(map(name_of, sent)) for sent in (now, before, failed_before))
        expected = [
            f"{n} {c:,} of {totals[n]:,} ({format_percent(c, totals[n])}"
            + (f", before {format_percent(past_failed[n], past[n])})" if past[n] else ")")
            for n, c in ranked(map(name_of, failed))
        ]
        assert fact(section, f"failed requests by {dimension}, most failures first") == ", ".join(expected)
    statuses = ", ".join(f"{n} {c:,}" for n, c in ranked(r.status for r in now))
    assert fact(section, "requests by status") == statuses
    codes = ", ".join(f"{n} {c:,}" for n, c in ranked(r.error_code for r in failed if r.error_code))
    if codes:
        assert fact(section, "failed requests by error code") == codes


async def test_a_window_has_its_first_minute_and_not_its_last(gateway: Gateway) -> None:
    """The window is half-open at the minute."""
    await gateway.deployment()
    await gateway.user()
    since, until = NOON - 100 * MINUTE, NOON - 20 * MINUTE
    tiny = timedelta(microseconds=1)
    await gateway.send(since - tiny, since, until - tiny, until)
    section = await gateway.read(source, asking(since=since, until=until))
    assert section.header.startswith("2 requests in the window")


async def test_the_days_before_are_given_per_day_and_for_the_length_of_the_window(gateway: Gateway) -> None:
    """The baseline counts from the first hour with data."""
    await gateway.deployment()
    await gateway.user()
    await gateway.send(*(NOON - 2 * DAY + number * HOUR for number in range(48)))
    await gateway.send(NOON - 30 * HOUR, status="error")
    await gateway.send(*(NOON + number * MINUTE for number in range(30)))
    section = await gateway.read(source, asking(NOON + HOUR, since=NOON))
    assert section.header == (
        "30 requests in the window, 0 failed (0 %); from 2026-03-08 12:00 until then 24 per day "
        "(1 in 1 h 0 min), 2.0 % failed"
    )
    day = await gateway.read(source, asking(NOON))
    assert day.header.startswith("24 requests in the window")
    assert "from 2026-03-08 12:00 until then 25 per day, " in day.header


async def test_what_is_older_than_the_baseline_or_younger_than_the_window_is_not_counted(
    gateway: Gateway,
) -> None:
    """The baseline is the seven days before the window."""
    await gateway.deployment()
    await gateway.user()
    await gateway.send(NOON - 9 * DAY, NOON, NOON + MINUTE)
    section = await gateway.read(source)
    assert (section.status, section.header) == (
        Status.EMPTY,
        "no requests in the window; none in the 7 days before",
    )


async def test_only_what_is_in_scope_is_counted(busy: Gateway) -> None:
    """Scope restricts window and baseline alike."""
    here = busy.id_of("gpt-4/k8s")
    section = await busy.read(source, asking(deployment_ids=here, tiers=("budget",)))
    sent = [r for r in busy.sent_in(asking().window, tier="budget") if r.deployment_id in here]
    assert section.header.startswith(f"{format_count(len(sent), 'request')} in the window")
    assert not [name for name in ("llama", "mistral", "aws", "premium", "standard") if name in str(section)]


async def test_very_many_groups_are_bounded_and_tied_ones_keep_one_order(gateway: Gateway) -> None:
    """MAX_GROUPS groups are listed, the others counted; ties by name."""
    await gateway.user()
    names = [f"{'mM'[number % 2]}{number:03}/b" for number in reversed(range(60))]
    await gateway.deployment(*names)
    await gateway.append(
        [
            gateway.request(NOON - HOUR, deployment=name, status="error", error_code=f"E{name[1:4]}")
            for name in names
        ]
    )
    section = await gateway.read(source)
    assert len(section.facts) == 10
    first = ", ".join(f"M{number:03}/b 1 (1.7 %)" for number in range(1, 2 * MAX_GROUPS, 2))
    assert fact(section, "requests by deployment") == f"{first}, and 50 more groups"
    assert all(len(f.text) < 1_200 for f in section.facts)
    short = [f.short for f in section.facts if f.text.startswith("requests by model")]
    assert short == ["requests by model: M001 1 (1.7 %), M003 1 (1.7 %), M005 1 (1.7 %), and 57 more groups"]


@pytest.mark.parametrize("dimension", ["tier", "model", "backend", "deployment"])
async def test_the_dimension_that_the_question_names_comes_first(busy: Gateway, dimension: str) -> None:
    """A dimension that the question names ranks first."""
    section = await busy.read(source, replace(asking(), dimensions=frozenset({dimension})))
    assert section.facts[0].text.startswith(f"requests by {dimension}: ")
    assert section.facts[1].text.startswith(f"failed requests by {dimension}, ")


async def test_a_dimension_with_a_single_group_comes_last(gateway: Gateway) -> None:
    """A dimension with one group ranks last."""
    await gateway.deployment("gpt-4/aws")
    await gateway.user()
    await gateway.send(NOON - HOUR, status="error")
    section = await gateway.read(source)
    assert max(fact.importance for fact in section.facts if "by tier" in fact.text) < 0.3
