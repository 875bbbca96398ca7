"""Onsets are where faults were planted, with the events near them and nothing later."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest

from context_builder.exploration.series.metric import Metric
from context_builder.question.request import Topic, Window
from context_builder.source import Fact, Section, Status
from context_builder.sources.changes import MAX_EVENTS, _explained, source
from context_builder.text.formatting import format_time
from models import FAILED_STATUSES
from models.database import Database
from tests.context_builder.exploration.test_change_point import shift
from tests.support.faulty_sources import (
    FAILING_SINCE,
    FAILING_UNTIL,
    PER_HOUR,
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
from tests.support.ops_events import config

pytestmark = pytest.mark.asyncio(loop_scope="session")

TIME = r"(\d{4}-\d\d-\d\d \d\d:\d\d)"
BEFORE, AT, AFTER = r"\d+ min before the onset", "at the onset", "after the onset"
PLANTED = {
    Topic.LATENCY: (SLOW_SINCE, None, "gpt-4/aws", "responses", "slowed down"),
    Topic.ERRORS: (FAILING_SINCE, FAILING_UNTIL, "llama-70b/k8s", "failure rate", "rose"),
    Topic.VOLUME: (SURGE_SINCE, SURGE_UNTIL, "user_c", "request volume", "rose"),
    Topic.COST: (SURGE_SINCE, SURGE_UNTIL, "user_c", "cost", "rose"),
    Topic.QUALITY: (WORSE_SINCE, None, "mistral/gcp", "quality scores", "dropped"),
}


def onset(section: Section, topic: Topic) -> Fact:
    """Return the single onset fact of a metric; other facts of that time share its topic."""
    noun = PLANTED[topic][3]
    (fact,) = (fact for fact in section.facts if fact.kind == "onsets" and f": {noun} " in fact.text)
    assert topic in fact.topics
    return fact


def event(section: Section, name: str) -> Fact:
    """Return the event fact that contains a name."""
    (fact,) = (fact for fact in section.facts if fact.kind == "events" and name in fact.text)
    return fact


def times_of(fact: Fact) -> list[datetime]:
    return [datetime.fromisoformat(f"{time}+00:00") for time in re.findall(TIME, fact.text)]


@pytest.mark.parametrize("topic", list(PLANTED))
async def test_each_trouble_has_its_onset_and_its_end(troubled: Gateway, topic: Topic) -> None:
    """Each planted fault has one onset, within 15 minutes of the truth, with its slice."""
    since, until, name, _, word = PLANTED[topic]
    fact = onset(await troubled.read(source), topic)
    assert name in fact.text
    assert word in fact.text
    times = times_of(fact)
    assert abs(times[0] - since) <= 15 * MINUTE
    span = re.search(f"not before {TIME}, not after {TIME}", fact.text)
    if span is not None:
        first, last = (datetime.fromisoformat(f"{time}+00:00") for time in span.groups())
        assert first <= times[0] <= last
        assert first - 5 * MINUTE <= since <= last
    end = re.search(f"until {TIME}", fact.text)
    if until is None:
        assert end is None
    else:
        assert end is not None
        assert abs(datetime.fromisoformat(f"{end[1]}+00:00") - until) <= 15 * MINUTE


async def test_the_cause_of_each_trouble_stands_beside_its_onset(troubled: Gateway) -> None:
    """The cause is shown with time and distance; distant and later events are less important."""
    section = await troubled.read(source)
    for name, at in (
        ("max_batch", SLOW_SINCE - 4 * MINUTE),
        ("job_cause", FAILING_SINCE - 3 * MINUTE),
        ("quota.raise", SURGE_SINCE - 2 * MINUTE),
    ):
        fact = event(section, name)
        assert fact.text.startswith(format_time(at))
        assert re.search(f"{BEFORE}|{AT}", fact.text)
    assert "responses slowed down" in event(section, "max_batch").text
    assert event(section, "log_level").importance < event(section, "max_batch").importance
    assert event(section, "job_cause").key == "job:job_cause"
    assert all(0 < fact.importance <= 1 for fact in section.facts)


async def test_the_digest_of_a_fault_has_its_cause_in_short_too(troubled: Gateway) -> None:
    """The cause stands in the digest, with the minutes between; digests lead, one after the other."""
    section = await troubled.read(source)
    leading = [fact for fact in section.facts if fact.leads]
    assert section.facts[: len(leading)] == tuple(leading)
    slow = onset(section, Topic.LATENCY)
    for text in (slow.text, slow.short):
        assert re.search(
            r"; candidate causes: \d\d:\d\d, \d+ min earlier, on it: max_batch of gpt-4/aws", text
        )
    assert event(section, "max_batch").key in slow.states


async def test_figures_of_onsets_are_those_of_what_was_sent(troubled: Gateway) -> None:
    """Sample sizes count the requests since the slot of the onset."""
    section = await troubled.read(source)
    of = {"deployment_id": troubled.deployments["llama-70b/k8s"]}
    sent = troubled.sent_in(Window(FAILING_SINCE, FAILING_UNTIL), **of)
    failed = sum(request.status in FAILED_STATUSES for request in sent)
    text = onset(section, Topic.ERRORS).text
    assert f"{100 * failed / len(sent):.1f} % of {len(sent)} requests failed" in text
    surge = troubled.sent_in(Window(SURGE_SINCE, SURGE_UNTIL), tier="budget")
    assert f"8.0 times normal for that time of day, {len(surge)} requests" in str(
        onset(section, Topic.VOLUME)
    )


async def test_what_comes_after_the_moment_never_shows(troubled: Gateway) -> None:
    """Events are shown up to the moment asked about, and not before they happened."""
    assert "later" not in str(await troubled.read(source))
    at = SLOW_SINCE + HOUR
    section = await troubled.read(source, asking(at))
    assert event(section, "max_batch")
    assert all(time <= at for fact in section.facts for time in times_of(fact))
    before = await troubled.read(source, asking(SLOW_SINCE - 5 * MINUTE))
    assert "max_batch" not in str(before)
    assert "slowed" not in str(before)
    then = await troubled.read(source, asking(FAILING_SINCE + HOUR))
    assert "not finished" in event(then, "job_cause").text


async def test_onsets_are_of_the_scope_alone(troubled: Gateway) -> None:
    """With a deployment in scope no other has an onset, though events elsewhere are shown."""
    section = await troubled.read(source, asking(deployment_ids=troubled.id_of("gpt-4/aws")))
    onsets = [fact for fact in section.facts if fact.kind == "onsets"]
    assert onsets
    assert not [name for name in ("llama", "mistral", "user_c") if name in str(onsets)]


async def test_a_router_version_is_first_seen_at_the_onset(gateway: Gateway) -> None:
    """A new router version is found in the requests, and is unknown before."""
    await settle(gateway)
    since = NOON - 4 * HOUR
    await live(gateway, rolled_out("v2", since, 0.5), slower(4, since, router_version="v2"))
    fact = event(await gateway.read(source), "router version v2")
    assert re.search(f"{BEFORE}|{AT}", fact.text)
    first = min(request.created_at for request in gateway.sent if request.router_version == "v2")
    assert fact.text.startswith(format_time(first))


async def test_silence_is_the_first_onset(sqlite_url: str) -> None:
    """A complete gap is the first onset, with its end and the expected rate."""
    database = Database(sqlite_url)
    gateway = Gateway(database)
    await settle(gateway)
    await live(gateway, surging(gateway, 0, NOON - 4 * HOUR, NOON - 3 * HOUR))
    await gateway.add(
        *(config(f"cfg_{n}", NOON - 4 * HOUR - n * MINUTE) for n in range(30)),
        config("cfg_old", NOON - 11 * HOUR, parameter="too_old"),
    )
    section = await gateway.read(source)
    await database.close()
    fact = section.facts[0]
    assert "NO REQUESTS" in fact.short
    assert [abs(at - NOON) for at in times_of(fact)] == [
        pytest.approx(4 * HOUR, abs=timedelta(minutes=15)),
        pytest.approx(3 * HOUR, abs=timedelta(minutes=15)),
    ]
    (expected,) = re.findall(r"about ([\d,]+) per hour", fact.text)
    assert int(expected) == pytest.approx(9 * PER_HOUR, rel=0.1)
    events = [fact for fact in section.facts if fact.kind == "events"]
    assert len(events) == MAX_EVENTS
    assert "of 30" in section.header
    assert "too_old" not in str(section)


async def test_what_varies_by_chance_has_no_onset(sqlite_url: str) -> None:
    """A healthy gateway has no onset, and events are shown only near one."""
    database = Database(sqlite_url)
    gateway = Gateway(database)
    await settle(gateway)
    await live(gateway, seed=3)
    await gateway.add(*(config(f"cfg_{n}", NOON - n * HOUR) for n in range(20)))
    section = await gateway.read(source)
    await database.close()
    assert (section.status, section.facts) == (Status.OK, ())
    assert "no onset" in section.header


async def test_what_began_together_is_explained_by_the_same_event() -> None:
    """An event beside requests that moved away may be the cause of the slowness of the same hour."""
    slow = shift(NOON - 3 * HOUR, metric=Metric.LATENCY, latest=NOON - HOUR)
    moved = shift(NOON - 5 * HOUR, metric=Metric.VOLUME, latest=NOON - 2 * HOUR)
    later = shift(NOON + 5 * HOUR)
    assert [_explained(one, [slow, moved, later]).metric for one in (slow, moved, later)] == [
        Metric.LATENCY,
        Metric.LATENCY,
        Metric.ERRORS,
    ]
