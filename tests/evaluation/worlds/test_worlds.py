"""The worlds hold what they state, and the score tells right from wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import pytest

from context_builder.prompt.manifest import Detail, FactEntry
from tests.evaluation.worlds.count import size_of
from tests.evaluation.worlds.gateway import Slice
from tests.evaluation.worlds.plan import DAY, TrueChange
from tests.evaluation.worlds.score import Verdict, close, judge, tells
from tests.evaluation.worlds.told import rank_of, says_nothing_is_broken, told_change
from tests.evaluation.worlds.world import KINDS, World, draw_world

BROKEN = [kind.name for kind in KINDS.values() if not kind.is_healthy]
HEALTHY = [kind.name for kind in KINDS.values() if kind.is_healthy]
TIERS = {"otterlabs": "premium"}
SEED = 5

drawn = cache(lambda name: draw_world(KINDS[name], SEED))


def told(source: str, text: str) -> tuple[object, ...] | None:
    change = told_change(fact(source, text), TIERS)
    if change is None:
        return None
    return (change.metric, change.up, change.where, change.size, change.begin, change.end)


def fact(source: str, text: str) -> FactEntry:
    return FactEntry("CH1", source, on_topic=True, detail=Detail.FULL, tokens=9, reason="", text=text)


def test_a_seed_draws_the_same_world_and_another_seed_another() -> None:
    """Requests, records and truth follow from the seed alone."""
    first, again = drawn("ramp-leak"), draw_world(KINDS["ramp-leak"], SEED)
    assert np.array_equal(first.calls.at, again.calls.at)
    assert np.array_equal(first.calls.latency_ms, again.calls.latency_ms)
    assert first.plan.changes == again.plan.changes
    assert [vars(row) | {"_sa_instance_state": 0} for row in first.plan.rows] == [
        vars(row) | {"_sa_instance_state": 0} for row in again.plan.rows
    ]
    other = draw_world(KINDS["ramp-leak"], SEED + 1)
    assert not np.array_equal(first.calls.at[:100], other.calls.at[:100])


def test_every_broken_kind_has_a_healthy_twin_of_its_own() -> None:
    """No kind can be told by its presence alone: each has one that looks alike and is well."""
    assert len(BROKEN) >= 12
    assert sorted(KINDS[name].twin for name in BROKEN) == sorted(HEALTHY)


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_stated_is_in_the_requests(name: str) -> None:
    """Plain counting finds the stated size of each change that a full answer tells, and questions ask."""
    world = drawn(name)
    assert world.plan.questions
    assert any(change.needed for change in world.plan.changes)
    for change in world.plan.changes:
        if change.needed:
            counted = size_of(change, world.calls, world.usual, world.plan.now)
            assert counted == pytest.approx(change.size, rel=0.3, abs=0.06), change


@pytest.mark.parametrize("name", BROKEN)
def test_a_recorded_cause_is_a_row(name: str) -> None:
    """A cause that a prompt could never show would make every prompt incomplete."""
    world = drawn(name)
    codes = {effect.code for effect in world.plan.effects}
    for cause in world.plan.causes:
        rows = [str(vars(row)) for row in world.plan.rows]
        assert cause.name == "log line" or any(cause.name in row for row in rows)
        assert cause.name != "log line" or codes - {""}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_world_has_no_true_change(name: str) -> None:
    """Its last day is like the same weekday a week before, but for what was to be expected."""
    world = drawn(name)
    assert not world.plan.changes
    ours = _day(world, world.plan.now - DAY)
    before = _day(world, world.plan.now - 8 * DAY)
    for now, usual, least in zip(ours, before, (0.6, 0.7, 0.25), strict=True):
        assert least < now / usual < 1 / least


def _day(world: World, begin: float) -> tuple[float, float, float]:
    """Volume, median latency and share of failures, without customers of whom something is expected."""
    calls = world.calls
    chosen = calls.within(Slice(), begin, begin + DAY)
    for change in world.plan.planned:
        chosen &= ~calls.within(change.where)
    failed = calls.failed[chosen].mean() + 0.005
    return float(chosen.sum()), float(np.median(calls.latency_ms[chosen])), float(failed)


def test_facts_are_read_as_they_are_meant() -> None:
    """Metric, direction, slice, size and time come from the text, within the scope of the question."""
    since = datetime(2026, 3, 23, 5, 58, tzinfo=UTC)
    assert told(
        "changes", "deployment a-1/vega, tier premium: responses slowed down since 2026-03-23 05:58 (not "
        "before 2026-03-23 05:50, not after 2026-03-23 06:08): 3.2 times the usual latency over 346 answered "
        "requests; also user otterlabs",
    ) == ("latency", True, Slice(deployment="a-1/vega", tier="premium"), 3.2, since, None)  # fmt: skip
    assert told(
        "drivers", "failure rate rose from 2026-03-23 05:58 until 2026-03-23 06:58: backend vega drives "
        "97.6 % of the change with 33.3 % of the traffic; 91 of 559 requests failed (16.3 %) since then, 38 "
        "of 5,178 requests failed (0.7 %) before",
    ) == ("errors", True, Slice(backend="vega"), 0.163, since, since + timedelta(hours=1))  # fmt: skip
    assert told(
        "changes", "all requests of the tier of user otterlabs: request volume fell since 2026-03-23 05:58: "
        "none, usually about 9 per hour",
    ) == ("volume", False, Slice(tier="premium"), 0.0, since, None)  # fmt: skip
    assert told("changes", "2026-03-23 05:58, at the onset (failure rate rose since): rollout began") is None
    calm = "Nothing is broken: the traffic changed: user a (cost rose since 2026-03-23 05:58)"
    assert told("changes", calm) is None
    assert says_nothing_is_broken(["x", calm])
    assert not says_nothing_is_broken(["is it true that Nothing is broken: or not"])
    assert rank_of([("job_1",), ("a/b", "04:00")], ["x", "04:00 a/b rolled out"]) == 2
    assert rank_of([("job_1",)], ["x"]) is None


def _told(world: World, change: TrueChange, where: Slice, size: float, **more: object) -> Verdict:
    begin = world.plan.gateway.moment(change.begin[1])
    text = f"{where}: responses slowed down since {begin:%Y-%m-%d %H:%M}: {size:.1f} times the usual latency"
    read = told_change(fact("changes", text), TIERS)
    assert read is not None
    return judge(world, replace(read, **more))  # type: ignore[arg-type]


def test_a_told_change_is_right_only_if_everything_is() -> None:
    """A wrong metric, direction, slice, size or time makes it wrong; a narrower slice does not."""
    world = drawn("region-slow")
    (change,) = world.plan.changes
    served = world.plan.gateway.served
    inside = next(one for one in served if one.region == change.where.region)
    outside = next(one for one in served if one.region != change.where.region)
    assert _told(world, change, change.where, change.size) is Verdict.TRUE
    assert _told(world, change, Slice(deployment=inside.name), change.size) is Verdict.TRUE
    assert _told(world, change, Slice(deployment=outside.name), change.size) is not Verdict.TRUE
    assert _told(world, change, change.where, change.size * 2) is Verdict.WRONG_SIZE
    assert _told(world, change, change.where, change.size, metric="errors") is Verdict.FALSE
    assert _told(world, change, change.where, change.size, up=False) is Verdict.FALSE
    early = world.plan.gateway.moment(change.begin[0] - 3 * 3600)
    assert _told(world, change, change.where, change.size, begin=early) is Verdict.FALSE
    assert close(1.24, 1, "volume")
    assert not close(1.26, 1, "volume")


def test_a_change_is_told_only_by_its_own_name() -> None:
    """All requests hold a slow region, and do not tell which one it is."""
    world = drawn("region-slow")
    (change,) = world.plan.changes
    begin = world.plan.gateway.moment(change.begin[1])
    text = f"responses slowed down since {begin:%Y-%m-%d %H:%M}: 2.0 times the usual latency"
    whole = told_change(fact("changes", f"all requests: {text}"), TIERS)
    named = told_change(fact("changes", f"region {change.where.region}: {text}"), TIERS)
    assert named is not None
    assert whole is not None
    assert tells(world, named, change)
    assert not tells(world, whole, change)
