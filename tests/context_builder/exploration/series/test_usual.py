"""What happens at the same hours of earlier days is usual; what strays farther than it ever did is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.exploration.series.signal import Floats
from context_builder.exploration.series.timeline import HOUR, Timeline
from context_builder.exploration.series.usual import ComparableHours, Usual, comparable_days
from context_builder.question.request import Window

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)
DAYS = 22
"""The last one is a Monday again."""


def noise() -> np.random.Generator:
    return np.random.default_rng(5)


def usual_of(hourly: Floats, *, ends: datetime = MONDAY + DAYS * DAY, since: int = 0) -> Usual:
    """Learn from counts by hour from MONDAY on."""
    timeline = Timeline.of(Window(ends - DAY, ends), ends - DAY - MONDAY)
    by_slot = np.array([hourly[int((start - MONDAY) / HOUR)] for start in timeline.starts]) * timeline.hours
    return ComparableHours(timeline, since).usual(by_slot)


def every_day(hours: dict[int, float], weekend: float = 1.0) -> Floats:
    """Return counts by hour, the same on every workday, and a share of them on weekends."""
    days = np.array([weekend if day % 7 >= 5 else 1.0 for day in range(DAYS)])
    return np.outer(days, [hours.get(hour, 0.0) for hour in range(24)]).ravel()


def strays(usual: Usual, day: int, first: int, end: int, *, rose: bool) -> tuple[float, float]:
    """Return deviations and factor of some hours of a day."""
    return usual.deviation(24.0 * day + first, 24.0 * day + end, rose=rose)


OFFICE = dict.fromkeys(range(8, 18), 60.0)


@pytest.mark.parametrize(("factor", "is_a_change"), [(1.0, False), (1.3, False), (3.0, True)])
def test_a_batch_is_a_change_only_if_it_is_larger_than_on_other_nights(
    factor: float, *, is_a_change: bool
) -> None:
    """A rise at an hour that has it every night is usual; three times as much is not, and by that factor."""
    counts = noise().poisson(every_day({2: 200, 3: 200, 12: 5})).astype(float)
    counts[21 * 24 + 2 : 21 * 24 + 4] *= factor
    deviations, told = strays(usual_of(counts), 21, 2, 4, rose=True)
    assert (deviations > 4) is is_a_change
    assert told == pytest.approx(factor, rel=0.2)


@pytest.mark.parametrize(("day", "is_a_change"), [(19, False), (20, False), (21, True)])
def test_silence_is_a_change_on_days_that_had_requests(day: int, *, is_a_change: bool) -> None:
    """Who works on weekdays is silent on weekends, and is missed on a Monday."""
    counts = noise().poisson(every_day(OFFICE, weekend=0)).astype(float)
    counts[day * 24 :] = 0
    assert (strays(usual_of(counts), day, 9, 15, rose=False)[0] < -4) is is_a_change


def test_on_the_first_weekend_nobody_is_missed() -> None:
    """Without an earlier weekend it is not known who works on weekends; a rise is judged all the same."""
    counts = noise().poisson(every_day(OFFICE, weekend=0.1)).astype(float)
    usual = usual_of(counts, ends=MONDAY + 6 * DAY)
    assert strays(usual, 5, 9, 15, rose=False)[0] > -1
    counts[5 * 24 + 9 : 5 * 24 + 15] = 600
    assert strays(usual_of(counts, ends=MONDAY + 6 * DAY), 5, 9, 15, rose=True)[0] > 4


@pytest.mark.parametrize("by", [-1, 1])
def test_a_day_that_begins_an_hour_earlier_or_later_is_no_change(by: int) -> None:
    """When clocks are changed, people come an hour earlier or later by UTC."""
    counts = every_day(OFFICE)
    counts[21 * 24 :] = np.roll(counts[21 * 24 :], by)
    usual = usual_of(counts)
    for first in range(6, 20):
        assert strays(usual, 21, first, first + 1, rose=True)[0] < 1
        assert strays(usual, 21, first, first + 1, rose=False)[0] > -1


def test_bursts_are_usual_for_who_sends_in_bursts() -> None:
    """The same rise is a change of a steady total, and none of one that strays as far now and then."""
    steady, bursty = (
        noise().poisson(40 * noise().lognormal(0, spread, DAYS * 24)).astype(float) for spread in (0.1, 0.9)
    )
    for counts, is_a_change in ((steady, True), (bursty, False)):
        counts[-6:] = 40 * 2.5
        assert (strays(usual_of(counts), 21, 18, 24, rose=True)[0] > 4) is is_a_change


def test_an_outage_of_the_past_does_not_widen_what_is_usual() -> None:
    """A few lost hours among weeks are no noise."""
    counts = noise().poisson(every_day(dict.fromkeys(range(24), 50.0))).astype(float)
    calm = strays(usual_of(counts), 21, 10, 13, rose=True)[0]
    counts[10 * 24 + 3 : 10 * 24 + 9] = 0
    counts[21 * 24 + 10 : 21 * 24 + 13] *= 2.2
    assert abs(calm) < 3
    assert strays(usual_of(counts), 21, 10, 13, rose=True)[0] > 4


@pytest.mark.parametrize(("earlier", "is_a_change"), [(31, False), (27, True)])
def test_what_also_came_at_the_end_of_last_month_is_no_change(earlier: int, *, is_a_change: bool) -> None:
    """Bills are written on the last day of each month; what came on another day of it is no such thing."""
    start, last = datetime(2026, 3, 27, tzinfo=UTC), 65  # the 31st of May
    counts = noise().poisson(np.full((last + 1) * 24, 50.0)).astype(float)
    for day in (last, last - earlier):
        counts[day * 24 + 8 : day * 24 + 16] *= 3
    timeline = Timeline.of(Window(start + last * DAY, start + (last + 1) * DAY), 35 * DAY)
    hours = [counts[int((moment - start) / HOUR)] for moment in timeline.starts]
    usual = ComparableHours(timeline, 0).usual(np.array(hours) * timeline.hours)
    first = (start + last * DAY - timeline.start) / HOUR
    assert (usual.deviation(first + 8, first + 16, rose=True)[0] > 4) is is_a_change


def test_scheduled_clients_are_expected_in_their_minutes() -> None:
    """Who sends at the full hour is not missed in the other fifty minutes."""
    timeline = Timeline.of(Window(MONDAY + 7 * DAY, MONDAY + 8 * DAY), 7 * DAY)
    at_the_hour = np.array([60.0 * (start.minute == 0) for start in timeline.starts])
    hours = ComparableHours(timeline, 0)
    expected = hours.by_slot(hours.usual(at_the_hour), at_the_hour)
    fine = np.array([start >= timeline.fine_start for start in timeline.starts])
    assert expected[fine & (at_the_hour > 0)] == pytest.approx(60, rel=0.1)
    assert expected[fine & (at_the_hour == 0)] == pytest.approx(0, abs=0.6)
    assert expected[fine].sum() == pytest.approx(24 * 60, rel=0.02)


@pytest.mark.long
@given(
    seed=st.integers(0, 10_000),
    first=st.integers(0, 22),
    length=st.integers(1, 24),
    rose=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_a_week_that_repeats_itself_holds_no_change(
    seed: int, first: int, length: int, *, rose: bool
) -> None:
    """Whatever its shape, and whatever run of hours is judged."""
    week = np.random.default_rng(seed).integers(30, 300, 168)
    counts = np.tile(week.astype(np.float64), 4)[: DAYS * 24]
    end = min(24, first + length)
    deviations = strays(usual_of(counts), 21, first, end, rose=rose)[0]
    assert (deviations if rose else -deviations) < 4


def test_comparable_days_are_of_the_same_kind_and_add_up_to_one() -> None:
    """Weeks weigh most, days of the same kind help out; nothing is before the log or in the span itself."""
    monday = MONDAY + 21 * DAY
    found = comparable_days(monday, monday + 3 * HOUR, MONDAY)
    assert set(found) == {3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 21} - {6, 13} | {6, 13}
    assert all((monday - days * DAY).weekday() < 5 for days in found)
    assert sum(found.values()) == pytest.approx(1)
    assert found[7] > 2 * found[4]
    assert comparable_days(monday, monday + 3 * HOUR, monday - DAY + HOUR) == {}
    long = comparable_days(monday - 3 * DAY, monday, MONDAY)
    assert set(long) == {7, 14}
    assert min(comparable_days(monday - 3 * DAY, monday, monday - 8 * DAY)) >= 3
