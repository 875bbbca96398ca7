"""When requests arrive."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from api.demo_data.arrivals import arrivals
from api.demo_data.chance import steady_normals, stream

START = datetime(2026, 3, 3, 13, 37, tzinfo=UTC)


@given(
    st.integers(0, 400),
    st.timedeltas(timedelta(minutes=1), timedelta(days=9)),
    st.floats(0, 0.95),
    st.integers(),
)
def test_as_many_as_asked_in_order_and_inside_the_window(
    count: int, length: timedelta, swing: float, seed: int
) -> None:
    """Exactly `count` moments of whole milliseconds, never before the start nor at the end."""
    moments = arrivals(stream(seed, "test"), count, START, START + length, swing)
    assert len(moments) == count
    assert moments == sorted(moments)
    assert all(START <= moment < START + length for moment in moments)
    assert all(moment.microsecond % 1000 == 0 for moment in moments)


def test_the_day_is_busier_than_the_night() -> None:
    """With a swing of 0.5 the busiest hour, at 14:00, has three times the requests of the quietest."""
    moments = arrivals(stream(1, "test"), 20_000, START, START + timedelta(days=7), 0.5)
    hours = Counter(moment.hour for moment in moments)
    assert 2.6 < (hours[13] + hours[14]) / (hours[1] + hours[2]) < 3.4


def test_a_job_that_never_sleeps_leaves_no_hole() -> None:
    """Without a swing no gap is longer than two parts of the window."""
    moments = arrivals(stream(1, "test"), 168, START, START + timedelta(days=7), 0)
    assert max(later - earlier for earlier, later in pairwise(moments)) <= timedelta(hours=2)


@given(st.integers())
def test_steady_normals_have_one_in_twenty_beyond_the_95th_percentile(seed: int) -> None:
    """Each run of twenty draws puts exactly one into the upper twentieth."""
    draws = steady_normals(stream(seed, "test"))
    runs = [[next(draws) for _ in range(20)] for _ in range(3)]
    assert [sum(value > 1.64486 for value in run) for run in runs] == [1, 1, 1]
    assert all(abs(value) < 4.5 for run in runs for value in run)
