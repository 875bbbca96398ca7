"""The breaker: opens on observed failure, steps back on forecasts with hysteresis, returns by probes."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from context_builder.risk.chaos.comparison import chance
from context_builder.risk.policy.breaker import Breaker, BreakerState
from context_builder.risk.policy.limits import DWELLS_S, MAX_PROBES, PROBE_ROUND_S
from context_builder.risk.policy.outcomes import Observed

TICK_S = 5.0
FINE, BAD, BUSY = Observed(successes=20), Observed(failures=20), Observed(successes=1, neutrals=30)


class Driven:
    """A breaker with a clock of its own; it opens whenever it wants to."""

    def __init__(self, seed: int = 0) -> None:
        self.breaker = Breaker(chance(seed))
        self.now_s = 0.0

    def tick(
        self, seen: Observed | None = FINE, probability: float | None = 0.0, times: int = 1
    ) -> BreakerState:
        for _ in range(times):
            self.now_s += TICK_S
            self.breaker.observe(self.now_s, seen)
            self.breaker.advance(self.now_s, seen, probability)
            if self.breaker.wants_to_open():
                self.breaker.open(self.now_s)
        return self.breaker.state

    def until(self, state: BreakerState, seen: Observed | None = FINE) -> float:
        """Tick until a state is reached; returns the seconds it took."""
        began_s = self.now_s
        for _ in range(1000):
            if self.tick(seen) is state:
                return self.now_s - began_s
        raise AssertionError(f"{state} was never reached")


def test_failures_open_it_and_the_reason_counts_them() -> None:
    """At least five must fail, and half of all."""
    assert Driven().tick(Observed(failures=4)) is BreakerState.CLOSED
    driven = Driven()
    assert driven.tick(Observed(successes=9, failures=4)) is BreakerState.CLOSED
    assert driven.tick(BAD) is BreakerState.OPEN
    assert driven.breaker.reason == "24 of 33 requests failed in 30 s"


def test_down_by_its_health_checks_it_is_out_until_they_say_otherwise() -> None:
    """No request has to fail first, no probe is sent meanwhile, and probes decide after it."""
    driven = Driven()
    driven.breaker.is_down = True
    assert driven.tick(None) is BreakerState.OPEN
    assert driven.breaker.reason == "its health checks say that it is down"
    assert driven.tick(None, times=100) is BreakerState.OPEN
    driven.breaker.is_down = False
    assert driven.tick(None) is BreakerState.HALF_OPEN
    driven.breaker.is_down = True
    assert driven.tick(None) is BreakerState.OPEN
    driven.breaker.is_down = False
    assert driven.until(BreakerState.CLOSED, Observed(successes=1)) < 60


def test_refused_requests_never_open_it_but_it_steps_back() -> None:
    """A 429 says that the upstream lives: less traffic, no ejection."""
    driven = Driven()
    assert driven.tick(BUSY, times=40) is BreakerState.AT_RISK


def test_missing_data_changes_nothing() -> None:
    """Lost telemetry is no failure, no strain and no calm."""
    driven = Driven()
    assert driven.tick(None, None, times=100) is BreakerState.CLOSED
    driven.tick(BUSY)
    assert driven.tick(None, None, times=100) is BreakerState.AT_RISK


@pytest.mark.parametrize(
    ("probabilities", "state"),
    [
        ([0.9], BreakerState.CLOSED),
        ([0.9, 0.5, 0.9], BreakerState.CLOSED),
        ([0.59, 0.59, 0.59], BreakerState.CLOSED),
        ([0.6, 0.6], BreakerState.AT_RISK),
        ([1.0] * 50, BreakerState.AT_RISK),
    ],
)
def test_a_forecast_counts_when_it_is_repeated_and_never_opens(
    probabilities: list[float], state: BreakerState
) -> None:
    """Two ticks in a row at 0.6 or more put it at risk; no forecast ejects."""
    driven = Driven()
    for probability in probabilities:
        driven.tick(FINE, probability)
    assert driven.breaker.state is state


def test_it_is_calm_after_three_ticks_and_its_dwell() -> None:
    """One low forecast, or three before 60 s have passed, do not end the risk."""
    driven = Driven()
    driven.tick(FINE, 0.9, times=2)
    assert driven.tick(FINE, 0.1, times=11) is BreakerState.AT_RISK, "after 55 s"
    driven.tick(FINE, 0.5)
    assert driven.tick(FINE, 0.3, times=2) is BreakerState.AT_RISK
    driven.until(BreakerState.CLOSED)


def test_a_forecast_fall_ends_nothing_while_answers_are_slow() -> None:
    """Better times that are only forecast bring no traffic back."""
    driven = Driven()
    slow = Observed(successes=20, slow=15)
    driven.tick(slow)
    assert {driven.tick(slow, 0.0) for _ in range(200)} == {BreakerState.AT_RISK}


def test_it_closes_by_three_successful_probes_and_reopens_by_one_failure() -> None:
    """The successes of probes close it; one failure starts its time out again."""
    driven = Driven()
    driven.tick(BAD)
    opened_for_s = driven.until(BreakerState.HALF_OPEN, None)
    assert DWELLS_S[0] <= opened_for_s <= DWELLS_S[0] * 1.2 + TICK_S
    assert driven.tick(Observed(successes=2)) is BreakerState.HALF_OPEN
    assert driven.tick(Observed(failures=1)) is BreakerState.OPEN
    assert driven.breaker.reason == "a probe failed after 2 successes"
    driven.until(BreakerState.HALF_OPEN, None)
    assert driven.tick(Observed(successes=1), times=MAX_PROBES) is BreakerState.CLOSED


def test_each_departure_within_an_hour_keeps_it_out_longer() -> None:
    """From the second on a deployment that flaps is out for minutes, as the limit of flaps demands."""
    driven = Driven()
    for dwell_s in DWELLS_S:
        driven.tick(BAD)
        assert dwell_s <= driven.until(BreakerState.HALF_OPEN, None) <= dwell_s * 1.2 + TICK_S
        assert driven.tick(Observed(successes=MAX_PROBES)) is BreakerState.CLOSED


def test_lost_probes_do_not_leave_it_half_open_for_ever() -> None:
    """Without an outcome in a minute another round of three probes begins."""
    driven = Driven()
    driven.tick(BAD)
    driven.until(BreakerState.HALF_OPEN, None)
    first = driven.breaker.tickets
    assert sum(first.take() for _ in range(50)) == MAX_PROBES
    driven.tick(None, None, times=int(PROBE_ROUND_S / TICK_S))
    assert driven.breaker.tickets is not first
    assert len(driven.breaker.tickets) == MAX_PROBES


@pytest.mark.long
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(
            st.sampled_from([FINE, BAD, BUSY, Observed(successes=3), None]),
            st.sampled_from([None, 0.0, 0.3, 0.5, 0.6, 1.0]),
            st.integers(1, 60),
        ),
        min_size=5,
        max_size=60,
    ),
    st.integers(0, 5),
)
def test_flaps_are_bounded_whatever_is_observed_and_forecast(
    phases: list[tuple[Observed | None, float | None, int]], seed: int
) -> None:
    """It leaves `closed` again at most once in five minutes, and at most six times in an hour."""
    driven, departures = Driven(seed), []
    for seen, probability, times in phases:
        for _ in range(times):
            before = driven.breaker.state
            if driven.tick(seen, probability) is not BreakerState.CLOSED and before is BreakerState.CLOSED:
                departures.append(driven.now_s)
    for start_s in departures:
        within = [moment - start_s for moment in departures if moment >= start_s]
        assert sum(after < 300 for after in within) - 1 <= 1
        assert sum(after < 3600 for after in within) - 1 <= 6


def test_a_restored_breaker_keeps_its_time_out() -> None:
    """A restart neither forgets an ejection nor extends it."""
    driven = Driven()
    driven.breaker.restore(BreakerState.HALF_OPEN, "it failed", driven.now_s, 30.0)
    assert driven.breaker.state is BreakerState.OPEN
    assert driven.until(BreakerState.HALF_OPEN, None) <= DWELLS_S[0] * 1.2 - 30 + TICK_S
