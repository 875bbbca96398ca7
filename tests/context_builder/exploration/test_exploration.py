"""A question is explored once, whatever the number of sources, with the same result on each database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from context_builder.exploration import refinement
from context_builder.exploration.exploration import (
    MAX_CHANGE_POINTS,
    MAX_PER_METRIC,
    Exploration,
    ExplorationFindings,
    Onset,
    with_aftermath,
)
from context_builder.exploration.series import traffic
from context_builder.exploration.series.metric import Metric
from context_builder.question.request import ContextRequest, Topic
from context_builder.rollups import chunk, rows
from context_builder.source import Section, Stores
from context_builder.sources import changes, drivers
from context_builder.telemetry.runbooks import Runbooks
from models.database import Database
from models.request_log import NewRequest
from tests.support.faulty_sources import (
    FAILING_SINCE,
    FAILING_UNTIL,
    SLOW_SINCE,
    SURGE_SINCE,
    live,
    settle,
    surging,
    troubled_gateway,
)
from tests.support.gateway import HOUR, MINUTE, NOON, Gateway, asking
from tests.support.no_memory import NO_MEMORY
from tests.support.rollup_views import rollups_of
from tests.support.statements import captured

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def read_both(gateway: Gateway, request: ContextRequest) -> list[Section]:
    """Read the two sources that share an exploration at the same time."""
    async with rollups_of(gateway.database, readers=2) as rollups:
        stores = Stores(rollups.snapshot, rollups, NO_MEMORY, Exploration(rollups), Runbooks())
        sources = (drivers.source, changes.source)
        return list(await asyncio.gather(*(source.read(request, stores) for source in sources)))


async def test_the_work_is_done_once(troubled: Gateway) -> None:
    """Ten concurrent callers send the statements of one; later ones send none."""
    async with rollups_of(troubled.database, readers=3) as rollups:
        with captured(troubled.database) as alone:
            expected = await Exploration(rollups).findings(asking())
    async with rollups_of(troubled.database, readers=3) as rollups:
        exploration = Exploration(rollups)
        with captured(troubled.database) as together:
            found = await asyncio.gather(*(exploration.findings(asking()) for _ in range(10)))
        assert found == [expected] * 10
        assert len(together) == len(alone) > 0
        with captured(troubled.database) as later:
            assert await exploration.findings(asking()) == expected
            assert await exploration.onset(asking()) == Onset(expected.shifts[0].onset)
        assert later == []


@pytest.mark.parametrize("statements", [1, 3])
async def test_a_cancelled_caller_does_not_cancel_the_work(troubled: Gateway, statements: int) -> None:
    """The deadline of one source does not affect the others."""
    async with rollups_of(troubled.database, readers=3) as rollups:
        expected = await Exploration(rollups).findings(asking())
    async with rollups_of(troubled.database, readers=3) as rollups:
        exploration = Exploration(rollups)
        with captured(troubled.database) as sent:
            first = asyncio.create_task(exploration.findings(asking()))
            second = asyncio.create_task(exploration.findings(asking()))
            while len(sent) < statements:  # noqa: ASYNC110  statements are noted by the driver's thread
                await asyncio.sleep(0.001)
            first.cancel()
            assert await second == expected
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_histograms_are_merged_off_the_event_loop(
    troubled_sqlite: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 9: work that grows with slots and cells does not block other questions."""
    worked: dict[tuple[str, str], set[bool]] = {}

    def noting(place: tuple[str, str], work: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*values: Any) -> Any:
            worked.setdefault(place, set()).add(threading.current_thread() is threading.main_thread())
            return work(*values)

        return noted

    places = {
        (module.__name__, name): getattr(module, name)
        for module, name in (
            (chunk, "log_moments"),
            (rows, "grouped_histograms"),
            (traffic, "slots_of"),
            (refinement, "estimate_onset"),
        )
    }
    for (module, name), work in places.items():
        monkeypatch.setattr(f"{module}.{name}", noting((module, name), work))
    await read_both(troubled_sqlite, asking())
    assert worked == {place: {False} for place in places}


async def test_both_databases_find_the_same(troubled_sqlite: Gateway, troubled_postgresql: Gateway) -> None:
    """Every name, number and time, and the order of all facts."""
    for request in (asking(), asking(NOON - 6 * HOUR, since=NOON - 11 * HOUR), asking(tiers=("premium",))):
        said = [await read_both(one, request) for one in (troubled_sqlite, troubled_postgresql)]
        assert said[0] == said[1]
        assert all(section.facts for section in said[0])


async def test_the_aftermath_ends_at_as_of() -> None:
    """Law 3: of the hours after a past window only those up to as_of are explored."""
    for later, explored in ((0 * HOUR, 0 * HOUR), (2 * HOUR, 2 * HOUR), (99 * HOUR, 6 * HOUR)):
        request = asking(NOON + later, since=NOON - HOUR, until=NOON)
        assert with_aftermath(request).window.end == NOON + explored


async def test_nothing_later_than_as_of_is_read(troubled_sqlite: Gateway, sqlite_url: str) -> None:
    """Law 6: a past moment is explored as if later requests and scores did not exist."""
    request = asking(FAILING_UNTIL - 17 * MINUTE - timedelta(seconds=20))
    database = Database(sqlite_url)
    gateway = await troubled_gateway(database, until=request.as_of)
    then, later = await read_both(gateway, request), await read_both(troubled_sqlite, request)
    await database.close()
    assert then == later
    assert all({Topic.ERRORS, Topic.QUALITY} <= topics_of(section) for section in then)


async def test_figures_of_a_user_s_whole_tier_are_a_gap(troubled: Gateway) -> None:
    """With a user in scope both sources state that figures cover the tier, changes or not."""
    user, tier = troubled.users["user_c"]
    windows: list[dict[str, Any]] = [{}, {"since": NOON - 40 * HOUR, "until": NOON - 39 * HOUR}]
    for window in windows:
        for section in await read_both(troubled, asking(user_ids=(user,), **window)):
            assert section.gaps == (f"figures per user; those here cover all users of tier {tier}",)
    assert [section.gaps for section in await read_both(troubled, asking(tiers=(tier,)))] == [(), ()]


def topics_of(section: Section) -> set[Topic]:
    return {topic for fact in section.facts for topic in fact.topics}


async def test_every_planted_fault_is_one_change_point(troubled: Gateway) -> None:
    """One per metric, in the planted slice and direction, with the other slices that show it."""
    async with rollups_of(troubled.database, readers=1) as rollups:
        shifts = (await Exploration(rollups).findings(asking())).shifts
    by_metric = {shift.metric: shift for shift in shifts}
    assert len(by_metric) == len(shifts) == len(Metric)
    assert dict(by_metric[Metric.LATENCY].slice.values) == {"deployment": "gpt-4/aws", "tier": "premium"}
    assert dict(by_metric[Metric.ERRORS].slice.values) == {"deployment": "llama-70b/k8s"}
    assert by_metric[Metric.LATENCY].after == pytest.approx(4, rel=0.15)
    assert by_metric[Metric.VOLUME].after == pytest.approx(8, rel=0.15)
    assert [metric for metric, shift in by_metric.items() if not shift.rose] == [Metric.QUALITY]
    for metric, since in (
        (Metric.LATENCY, SLOW_SINCE),
        (Metric.ERRORS, FAILING_SINCE),
        (Metric.COST, SURGE_SINCE),
    ):
        shift = by_metric[metric]
        assert abs(shift.onset - since) <= 15 * MINUTE
        assert shift.earliest <= shift.onset <= shift.latest


@pytest.mark.parametrize("topic", [Topic.LATENCY, Topic.ERRORS, Topic.VOLUME, Topic.QUALITY])
async def test_the_metric_asked_about_comes_first(troubled: Gateway, topic: Topic) -> None:
    """A question's onset is that of its metric; each metric has a few changes at most."""
    request = replace(asking(), topics=frozenset({topic, Topic.CHANGES}))
    async with rollups_of(troubled.database, readers=1) as rollups:
        exploration = Exploration(rollups)
        shifts = (await exploration.findings(request)).shifts
        assert await exploration.onset(request) == Onset(shifts[0].onset)
    assert shifts[0].metric.topic is topic
    assert len(shifts) <= MAX_CHANGE_POINTS
    assert all(sum(one.metric is metric for one in shifts) <= MAX_PER_METRIC for metric in Metric)


async def test_changes_that_ended_before_the_window_are_omitted(troubled: Gateway) -> None:
    """A burst that ended is not what is wrong now; a change that still lasts is."""
    async with rollups_of(troubled.database, readers=1) as rollups:
        shifts = (await Exploration(rollups).findings(asking(since=NOON - 2 * HOUR))).shifts
        assert {shift.metric for shift in shifts} == {Metric.LATENCY, Metric.QUALITY}
        during = (await Exploration(rollups).findings(asking(FAILING_UNTIL - 20 * MINUTE))).shifts
    assert {shift.metric for shift in during} == {Metric.ERRORS, Metric.QUALITY}
    assert all(shift.until is None for shift in during)


@pytest.mark.parametrize(
    ("cheap_after", "told"), [(False, {Metric.VOLUME}), (True, {Metric.VOLUME, Metric.COST})]
)
async def test_cost_that_fell_without_requests_is_omitted(
    sqlite_url: str, cheap_after: bool, told: set[Metric]
) -> None:
    """Even if cost is asked about; but not if cost remains low once requests are back."""
    database = Database(sqlite_url)
    gateway = Gateway(database)
    await settle(gateway)
    silent = NOON - 4 * HOUR

    def cheaper(request: NewRequest) -> Iterable[NewRequest]:
        hit = cheap_after and request.created_at >= silent
        yield replace(request, cost_usd=request.cost_usd / 10) if hit else request

    await live(gateway, surging(gateway, 0, silent, silent + HOUR), cheaper)
    async with rollups_of(database) as rollups:
        request = replace(asking(), topics=frozenset({Topic.COST}))
        shifts = (await Exploration(rollups).findings(request)).shifts
    await database.close()
    assert {shift.metric for shift in shifts} == told
    assert shifts[0].is_gap
    assert not any(shift.rose for shift in shifts)


async def test_an_onset_found_late_is_a_gap_until_then(
    troubled_sqlite: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source that can do without it does not wait."""
    async with rollups_of(troubled_sqlite.database, readers=1) as rollups:
        exploration = Exploration(rollups)
        with monkeypatch.context() as patched:
            patched.setattr(f"{Exploration.__module__}.ONSET_TIMEOUT_S", 0.0)
            late = await exploration.onset(asking())
        assert late == Onset(None, ("the onset (not found in time)",))
        shifts = (await exploration.findings(asking())).shifts
        assert await exploration.onset(asking()) == Onset(shifts[0].onset)


async def test_a_failed_exploration_leaves_the_onset_unknown(
    troubled_sqlite: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 2: sources that need the findings fail; those that do not report a gap."""

    async def broken(*_: object) -> None:
        raise ConnectionError("the database is gone")

    monkeypatch.setattr(f"{Exploration.__module__}.read_traffic", broken)
    async with rollups_of(troubled_sqlite.database, readers=1) as rollups:
        exploration = Exploration(rollups)
        with pytest.raises(ConnectionError, match="the database is gone"):
            await exploration.findings(asking())
        onset = await exploration.onset(asking())
    assert onset == Onset(None, ("the onset (the search failed)",))


async def test_no_requests_are_no_traffic(gateway: Gateway) -> None:
    """An empty log has no changes and no onset; one old request is traffic."""
    async with rollups_of(gateway.database, readers=1) as rollups:
        exploration = Exploration(rollups)
        assert await exploration.findings(asking()) == ExplorationFindings((), has_traffic=False, gaps=())
        assert await exploration.onset(asking()) == Onset(None)
    await gateway.deployment()
    await gateway.user()
    await gateway.send(NOON - 100 * HOUR)
    async with rollups_of(gateway.database, readers=1) as rollups:
        exploration = Exploration(rollups)
        assert await exploration.findings(asking()) == ExplorationFindings((), has_traffic=True, gaps=())
