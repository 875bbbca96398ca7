"""The simulator's truth: what it says happened is in the rows, and nothing else is."""

from __future__ import annotations

from datetime import timedelta
from statistics import median

import pytest

from models import ConfigChange, ErrorLog, Job, MaintenanceWindow
from models.tables.schema import Table
from tests.evaluation.faults.kinds import HEALTHY, KINDS
from tests.evaluation.ledger import Metric
from tests.evaluation.scenario import PER_WORLD, Base, Scenario, make_scenario
from tests.evaluation.traffic import Slice
from tests.evaluation.truth import Event, Onset, Symptom

pytestmark = pytest.mark.long


SEED = 41
AFFECTED = 40


@pytest.fixture(scope="module")
def base() -> Base:
    return Base(SEED, 0)


@pytest.fixture(scope="module")
def scenarios(base: Base) -> dict[str, Scenario]:
    """One of each kind."""
    return {kind: make_scenario(base, number) for number, kind in enumerate(KINDS)}


def values(row: Table) -> dict[str, object]:
    return {column.key: getattr(row, column.key) for column in row.__mapper__.column_attrs}


def symptoms(scenario: Scenario) -> list[Symptom]:
    return [one for one in scenario.requirements if isinstance(one, Symptom)]


def test_the_same_seed_gives_the_same_tables_and_another_gives_others(scenarios: dict[str, Scenario]) -> None:
    """A seed decides every request, every row, every question; and nothing is fixed across seeds."""
    again, other = Base(SEED, 0), Base(SEED + 1, 0)
    assert not {d.public_id for d in again.world.deployments} & {d.public_id for d in other.world.deployments}
    for number in (1, 7, 10):
        first, second = scenarios[list(KINDS)[number]], make_scenario(again, number)
        assert [sent.row(first.scene.world) for sent in first.last_day] == [
            sent.row(second.scene.world) for sent in second.last_day
        ]
        assert list(map(values, first.scene.rows)) == list(map(values, second.scene.rows))
        assert first.questions == second.questions
        assert first.exhausted == second.exhausted


def test_kinds_and_numbers_belong_together(base: Base) -> None:
    """Scenario numbers go round all kinds, fifteen to a world."""
    assert len(KINDS) == PER_WORLD == 15
    assert make_scenario(base, 3 + PER_WORLD).kind == list(KINDS)[3]


def test_an_injected_step_is_in_the_rows(scenarios: dict[str, Scenario]) -> None:
    """After the onset the median is the injected multiple of what it was, before it is not."""
    scenario = scenarios["latency step"]
    (effect,) = scenario.scene.disturbances.effects
    spans = {
        "long before": (scenario.ledger.start, effect.start - timedelta(hours=8)),
        "before": (effect.start - timedelta(hours=8), effect.start),
        "after": (effect.start, scenario.as_of),
    }
    medians = {
        name: median(sent.latency_ms for sent in scenario.ledger.select(effect.where, span))
        for name, span in spans.items()
    }
    assert medians["after"] / medians["long before"] == pytest.approx(effect.slowdown, rel=0.35)
    assert medians["before"] / medians["long before"] == pytest.approx(1, abs=0.35)


def test_every_fault_hits_enough_requests_to_be_seen(scenarios: dict[str, Scenario]) -> None:
    """At least forty requests of those affected came after each onset, or were kept away from them."""
    for kind, scenario in scenarios.items():
        for symptom in symptoms(scenario):
            signs = [sign for sign in symptom.signs if sign.metric]
            sizes = [len(scenario.ledger.select(sign.where, symptom.affected)) for sign in signs]
            assert not sizes or max(sizes) >= AFFECTED, (kind, symptom.name, sizes)


def test_every_symptom_can_be_told_in_figures(scenarios: dict[str, Scenario]) -> None:
    """Where a symptom has a metric, the requests bear it out: some figure has changed notably."""
    for kind, scenario in scenarios.items():
        for symptom in symptoms(scenario):
            if any(sign.metric for sign in symptom.signs):
                told = [
                    figure
                    for sign in symptom.signs
                    for figure in symptom.figures(sign, scenario.ledger, symptom.affected)
                ]
                assert told, (kind, symptom.name)


def test_where_nothing_is_wrong_nothing_has_changed(scenarios: dict[str, Scenario]) -> None:
    """The healthy scenario needs no facts, has no effects but ordinary noise, and no figure to show."""
    scenario = scenarios[HEALTHY]
    assert not scenario.requirements
    assert not scenario.scene.disturbances.effects
    half = (scenario.as_of - timedelta(hours=12), scenario.as_of)
    assert not scenario.ledger.figures(Metric.ERRORS, Slice(), half, half)
    assert not scenario.ledger.figures(Metric.LATENCY, Slice(), half, half)


def test_causes_are_rows_and_come_before_what_they_cause(scenarios: dict[str, Scenario]) -> None:
    """Each causal event is one row that was written, minutes before its onset at the most."""
    tables = {table.__tablename__: table for table in (ConfigChange, ErrorLog, Job, MaintenanceWindow)}
    events = [
        (scenario, one)
        for scenario in scenarios.values()
        for one in scenario.requirements
        if isinstance(one, Event)
    ]
    assert len(events) >= 10
    for scenario, event in events:
        rows = [row for row in scenario.scene.rows if isinstance(row, tables[event.table])]
        assert any(
            event.row in map(str, values(row).values()) or event.row in str(values(row)) for row in rows
        )
        if event.causal:
            assert any(
                timedelta(0) <= onset - event.at <= timedelta(minutes=15) for onset in scenario.scene.onsets
            )


def test_onsets_lie_within_a_day(scenarios: dict[str, Scenario]) -> None:
    """Faults began ten minutes to twenty hours before the moment asked about, and each onset is needed."""
    for scenario in scenarios.values():
        for onset in scenario.scene.onsets:
            assert timedelta(minutes=10) <= scenario.as_of - onset <= timedelta(hours=20, minutes=5)
        needed = [one for one in scenario.requirements if isinstance(one, Onset)]
        assert len(needed) == len(scenario.scene.onsets)


def test_a_used_up_budget_refuses_everything_after(scenarios: dict[str, Scenario]) -> None:
    """Once the budget is gone no request of the user costs anything, and what was spent is the budget."""
    scenario = scenarios["budget exhaustion"]
    assert scenario.scene.enforcement is not None
    assert scenario.exhausted is not None
    account, gone = scenario.scene.enforcement
    later = scenario.ledger.select(Slice(user=account.public_id), (gone, scenario.as_of))
    assert later
    assert all(sent.code == "budget_exceeded" and not sent.cost_usd for sent in later)
    assert scenario.exhausted > 0


def test_a_telemetry_gap_holds_nothing(scenarios: dict[str, Scenario]) -> None:
    """Of the deployments in a gap nothing is logged; of the others as much as ever."""
    scenario = scenarios["telemetry gap"]
    ((start, end, deployments),) = scenario.scene.gaps
    assert not scenario.ledger.select(Slice(deployments=deployments), (start, end))
    assert scenario.ledger.select(Slice(), (start, end))


def test_no_event_lies_in_the_future(scenarios: dict[str, Scenario]) -> None:
    """Nothing is written that could not be known at the moment asked about."""
    for scenario in scenarios.values():
        for row in scenario.scene.rows:
            for name in (
                "created_at",
                "changed_at",
                "logged_at",
                "occurred_at",
                "announced_at",
                "finished_at",
            ):
                moment = getattr(row, name, None)
                assert moment is None or moment <= scenario.as_of, (scenario.kind, row.__tablename__, name)
