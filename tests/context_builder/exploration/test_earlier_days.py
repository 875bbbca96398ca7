"""What happens at the same hours of earlier days is no change, and what does not is one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from context_builder.exploration.earlier_days import is_unlike_earlier_days
from context_builder.exploration.onset import LevelShift
from context_builder.exploration.series.signal import Distribution, Floats, Noise, Signal
from context_builder.exploration.series.timeline import Timeline
from context_builder.question.request import Window

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)


def unlike(hourly: Floats, *, ends: datetime, first: datetime, end: datetime | None = None) -> bool:
    """Judge a run in requests by hour from MONDAY on; it rose if it has more than the mean of all."""
    timeline = Timeline.of(Window(MONDAY + DAY, ends), DAY)
    mass = np.array([hourly[int((start - MONDAY) / timedelta(hours=1))] for start in timeline.starts])
    mass *= timeline.hours
    signal = Signal.by_slot(Noise(Distribution.POISSON), timeline.hours.copy(), mass)
    start, until = timeline.slot_of(first), None if end is None else timeline.slot_of(end)
    shift = LevelShift(
        first=start,
        within=start + 1,
        end=until,
        away=signal.level(start, timeline.slots if until is None else until),
        usual=signal.level(0, timeline.slots),
        evidence=100.0,
    )
    return is_unlike_earlier_days(signal, timeline, shift)


def week(hours: dict[int, float], *, days: int = 14) -> Floats:
    """Return requests by hour, on every day these at these hours of the day."""
    return np.tile([hours.get(hour, 0.0) for hour in range(24)], days).astype(np.float64)


@pytest.mark.parametrize(("factor", "expected"), [(1.0, False), (1.2, False), (3.0, True)])
def test_a_batch_is_a_change_only_if_it_is_larger_than_on_any_night(factor: float, *, expected: bool) -> None:
    """A rise at an hour that has it every night is usual; three times as much is not."""
    requests = week({2: 100, 3: 100, 12: 5})
    night = MONDAY + 7 * DAY + timedelta(hours=2)
    requests[7 * 24 + 2 : 7 * 24 + 4] *= factor
    assert unlike(requests, ends=MONDAY + 8 * DAY, first=night, end=night + timedelta(hours=2)) is expected


@pytest.mark.parametrize(("day", "expected"), [(5, False), (6, False), (8, True)])
def test_silence_is_a_change_on_a_day_like_those_that_had_requests(day: int, *, expected: bool) -> None:
    """Who works on weekdays is silent on the second weekend as on the first, and is missed on a Tuesday."""
    requests = week(dict.fromkeys(range(8, 18), 50.0), days=21)
    for weekend in (5, 6, 12, 13):
        requests[weekend * 24 : (weekend + 1) * 24] = 0
    requests[15 * 24 :] = 0
    first = MONDAY + (day + 7) * DAY + timedelta(hours=8)
    assert unlike(requests, ends=first + timedelta(hours=6), first=first) is expected


def test_of_a_long_silence_only_the_hours_with_earlier_ones_of_their_kind_count() -> None:
    """From Friday evening to Monday morning nobody works; who is silent on Monday at noon is missed."""
    requests = week(dict.fromkeys(range(8, 18), 50.0), days=14)
    requests[5 * 24 : 7 * 24] = requests[7 * 24 + 8 :] = 0
    first = MONDAY + 4 * DAY + timedelta(hours=18)
    assert not unlike(requests, ends=MONDAY + 7 * DAY + timedelta(hours=8), first=first)
    assert unlike(requests, ends=MONDAY + 7 * DAY + timedelta(hours=12), first=first)


def test_what_ends_within_an_hour_is_not_spread_over_it() -> None:
    """Earlier days are known by the hour; of one in which a batch ends, only the first part is filled."""
    requests = week({2: 100}, days=14)
    half_past = MONDAY + 7 * DAY + timedelta(hours=2, minutes=30)
    assert not unlike(requests, ends=half_past + timedelta(hours=20), first=half_past + timedelta(minutes=30))
    assert not unlike(requests, ends=half_past, first=half_past - timedelta(minutes=30))


def test_without_an_earlier_day_nothing_is_said_to_be_usual() -> None:
    """A run in the first day, and one on the first weekend, have nothing to be compared with."""
    requests = week({12: 5})
    assert unlike(requests, ends=MONDAY + 2 * DAY, first=MONDAY + timedelta(hours=12))
    saturday = MONDAY + 5 * DAY
    assert unlike(requests, ends=saturday + timedelta(hours=14), first=saturday + timedelta(hours=12))
