"""A tick of the policy: never all ejected, no clock, number or missing datum that breaks it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from context_builder.risk.chaos.comparison import chance
from context_builder.risk.outlook import Outlook
from context_builder.risk.policy.breaker import BreakerState, BreakerTransition
from context_builder.risk.policy.controller import RiskController
from context_builder.risk.policy.limits import MAX_PROBES, most_ejected
from context_builder.risk.policy.outcomes import Observed
from context_builder.risk.policy.verdicts import VerdictTable

START = datetime(2026, 11, 20, tzinfo=UTC)
FINE, BAD = Observed(successes=20), Observed(failures=20)


def outlook(probability: float | None, moment: datetime = START, silence: str = "") -> Outlook:
    """Return an outlook with a probability; its other figures say nothing."""
    return Outlook(
        0, moment, "now", 0.1, 200, *(None,) * 7, breach_probability=probability, silence=silence,
        anomaly="", last_false_alarm=None,
    )  # fmt: skip


class DrivenFleet:
    """A controller with a clock of ticks."""

    def __init__(self, count: int) -> None:
        self.controller = RiskController(chance(1), shadow=False)
        self.base = {f"m/{number}": 1.0 for number in range(count)}
        self.now = START

    def tick(
        self,
        observed: Mapping[str, Observed] | None = None,
        probabilities: Mapping[str, float | None] | None = None,
        step_s: float = 5.0,
        down: Collection[str] = (),
    ) -> tuple[VerdictTable, tuple[BreakerTransition, ...]]:
        self.now += timedelta(seconds=step_s)
        outlooks = {name: outlook(each, self.now) for name, each in (probabilities or {}).items()}
        seen = dict.fromkeys(self.base, FINE) if observed is None else observed
        return self.controller.tick(self.now, self.base, seen, outlooks, down)


@pytest.mark.long
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.integers(1, 10))
def test_never_all_are_ejected_nor_more_than_the_limit(data: st.DataObject, count: int) -> None:
    """The limit counts after ejecting, half-open ones too; and shares of the others add up to 1."""
    fleet = DrivenFleet(count)
    names = list(fleet.base)
    seen = st.sampled_from([FINE, BAD, Observed(neutrals=30), Observed(successes=3)])
    for _ in range(data.draw(st.integers(1, 14))):
        observed = data.draw(st.dictionaries(st.sampled_from(names), seen))
        step_s = data.draw(st.sampled_from([5.0, 60.0, 0.0, -3600.0, 1e7]))
        gone = data.draw(st.sets(st.sampled_from(names), max_size=count - 1))
        fleet.base = {name: 1.0 for name in names if name not in gone}
        down = data.draw(st.sets(st.sampled_from(names)))
        table, _ = fleet.tick(observed, step_s=step_s, down=down)
        ejected = [each for each in table.verdicts.values() if each.is_ejected]
        if table.moment == fleet.now and step_s:
            assert table.verdicts.keys() == fleet.base.keys()
            assert len(ejected) <= most_ejected(len(fleet.base)) < len(fleet.base)
            assert sum(each.share for each in table.verdicts.values()) == pytest.approx(1)
            assert all(each.share > 0 for each in table.verdicts.values() if not each.is_ejected)
            assert all(len(each.tickets) <= MAX_PROBES for each in table.verdicts.values())


@pytest.mark.parametrize(("count", "most"), [(1, 0), (2, 1), (3, 1), (6, 1), (7, 2), (10, 3), (10_000, 3000)])
def test_the_limit_is_a_third_but_one_always_may(count: int, most: int) -> None:
    """Rounded down, and never the last one."""
    assert most_ejected(count) == most


def test_where_more_fail_than_may_be_ejected_the_worst_are() -> None:
    """The others keep traffic, and their verdict says why."""
    fleet = DrivenFleet(6)
    observed = {
        "m/0": Observed(successes=8, failures=10),
        "m/1": BAD,
        "m/2": Observed(successes=5, failures=9),
        "m/3": Observed(failures=12),
    }
    table, transitions = fleet.tick(observed)
    assert [each.deployment for each in transitions] == ["m/1"]
    assert "as many as may be ejected are" in table.verdicts["m/0"].reason
    shares = {name: each.share / each.base_share for name, each in table.verdicts.items()}
    assert shares["m/3"] < 1 < shares["m/0"] == shares["m/2"], "what half answers is needed, the other is not"


def test_one_that_is_down_is_ejected_before_those_that_fail() -> None:
    """It answers nothing at all."""
    table, transitions = DrivenFleet(6).tick({"m/1": BAD}, down={"m/4"})
    assert [each.deployment for each in transitions] == ["m/4"]
    assert table.verdicts["m/4"].share == 0


@pytest.mark.parametrize("probability", [math.nan, math.inf, -math.inf, -0.1, 1.1, None])
def test_a_number_that_is_no_probability_is_no_forecast(probability: float | None) -> None:
    """It moves nothing, and the verdict shows none."""
    fleet = DrivenFleet(4)
    for _ in range(10):
        table, transitions = fleet.tick(probabilities=dict.fromkeys(fleet.base, probability))
        assert not transitions
    assert all(each.share == pytest.approx(0.25) for each in table.verdicts.values())
    assert {each.probability for each in table.verdicts.values()} == {None}


def test_an_old_or_silent_outlook_is_no_forecast() -> None:
    """What was known an hour ago says nothing about the next five minutes."""
    controller = RiskController(chance(1), shadow=False)
    for number in range(10):
        moment = START + timedelta(seconds=5 * number)
        outlooks = {"a": outlook(1.0, moment - timedelta(hours=1)), "b": outlook(1.0, moment, "no skill")}
        _, transitions = controller.tick(moment, {"a": 1.0, "b": 1.0}, {}, outlooks)
        assert not transitions


def test_the_deployment_at_risk_loses_a_fifth_of_its_share_a_tick() -> None:
    """Slowly, not to zero, and only the worst of a small fleet."""
    fleet = DrivenFleet(5)
    shares = [0.2]
    for _ in range(30):
        table, _ = fleet.tick(probabilities={"m/0": 0.9})
        shares.append(table.verdicts["m/0"].share)
    assert all(after >= 0.8 * before - 1e-12 for before, after in pairwise(shares))
    assert shares[-1] == pytest.approx(0.2 / 4.2)
    assert "forecast" in table.verdicts["m/0"].reason


def test_where_all_are_at_risk_nobody_steps_back() -> None:
    """A rise of the load strains every deployment alike: none of them could take on what another loses."""
    fleet = DrivenFleet(5)
    for _ in range(20):
        slow = dict.fromkeys(fleet.base, Observed(successes=20, slow=18))
        table, transitions = fleet.tick(slow, probabilities=dict.fromkeys(fleet.base, 0.9))
        assert not transitions
    assert {each.probability for each in table.verdicts.values()} == {0.9}


def test_a_forecast_fall_brings_nobody_more_than_the_usual_share() -> None:
    """The policy acts on a rise only."""
    fleet = DrivenFleet(4)
    for _ in range(20):
        table, _ = fleet.tick(probabilities={"m/0": 0.0, "m/1": 0.3})
    assert {round(each.share, 9) for each in table.verdicts.values()} == {0.25}


def test_a_tick_that_was_taken_in_changes_nothing() -> None:
    """A duplicate neither counts failures twice nor lets time pass."""
    fleet = DrivenFleet(4)
    first, _ = fleet.tick({"m/0": Observed(failures=4)})
    again, transitions = fleet.tick({"m/0": Observed(failures=4)}, step_s=0.0)
    assert again is first
    assert not transitions


@pytest.mark.parametrize("jump_s", [-86_400.0, 86_400.0, 1e8])
def test_a_clock_that_jumps_ends_no_time_out(jump_s: float) -> None:
    """Back or ahead, an open breaker stays open for as many ticks as it would have, or nearly."""
    fleet = DrivenFleet(4)
    fleet.tick({"m/0": BAD})
    table, _ = fleet.tick({}, step_s=jump_s)
    assert table.verdicts["m/0"].state is BreakerState.OPEN
    for _ in range(10):
        table, _ = fleet.tick({})
    assert table.verdicts["m/0"].is_ejected


def test_lost_telemetry_opens_nothing() -> None:
    """An hour without any observation leaves every deployment in use."""
    fleet = DrivenFleet(4)
    for _ in range(720):
        table, transitions = fleet.tick({})
        assert not transitions
    assert not any(each.is_ejected for each in table.verdicts.values())


def test_deployments_appear_and_vanish() -> None:
    """A new one warms up, the state of one that is gone is forgotten."""
    fleet = DrivenFleet(3)
    fleet.tick({"m/0": BAD})
    fleet.base = {"m/1": 1.0, "m/2": 1.0, "new": math.nan}
    table, _ = fleet.tick()
    assert table.verdicts.keys() == fleet.base.keys()
    assert 0 < table.verdicts["new"].share < 0.2
    fleet.base["m/0"] = 1.0
    table, _ = fleet.tick()
    assert table.verdicts["m/0"].state is BreakerState.CLOSED


def test_ten_thousand_deployments_make_a_table() -> None:
    """Thousands fail at once: no more than three in ten are ejected."""
    fleet = DrivenFleet(10_000)
    table, transitions = fleet.tick(dict.fromkeys(fleet.base, BAD))
    assert len(transitions) == 3000
    assert sum(each.share for each in table.verdicts.values()) == pytest.approx(1)


def test_an_ejection_survives_a_restart() -> None:
    """The stored transitions are where the next process begins."""
    controller = RiskController(chance(1), shadow=False)
    stored = BreakerTransition(START, "a", BreakerState.CLOSED, BreakerState.OPEN, "it failed")
    controller.restore([stored], START + timedelta(seconds=20))
    table, _ = controller.tick(START + timedelta(seconds=25), dict.fromkeys("abc", 1.0), {}, {})
    assert table.verdicts["a"].is_ejected
    assert table.verdicts["a"].reason == "it failed"
