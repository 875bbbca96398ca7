"""Slots partition the explored time: every minute is in exactly one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context_builder.exploration.series.timeline import FINE_SLOT, FINE_SPAN, HOUR, MAX_DAYS, Timeline
from context_builder.question.request import Window

MINUTE = timedelta(minutes=1)
MINUTES = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)).map(  # noqa: DTZ001  it is given UTC below
    lambda moment: moment.replace(second=0, microsecond=0, tzinfo=UTC)
)


@st.composite
def timelines(draw: st.DrawFn) -> tuple[Window, Timeline]:
    """Draw windows from a minute to 60 days, with up to 8 days before them."""
    start = draw(MINUTES)
    length = draw(st.integers(1, 90) | st.integers(1, 60 * 24 * 60))
    window = Window(start, start + length * MINUTE)
    return window, Timeline.of(window, draw(st.integers(0, 8 * 24)) * HOUR)


@given(timelines())
def test_slots_tile_the_span_without_gap_or_overlap(both: tuple[Window, Timeline]) -> None:
    """Each slot ends where the next starts; the last one ends with the window; none is empty."""
    window, timeline = both
    assert timeline.starts[0] == timeline.start
    ends = [timeline.end_of(slot) for slot in range(timeline.slots)]
    assert ends == [*timeline.starts[1:], window.end]
    assert all(start < end for start, end in zip(timeline.starts, ends, strict=True))
    assert sum(timeline.hours) == pytest.approx((window.end - timeline.start) / HOUR)


@given(timelines(), st.data())
def test_a_moment_is_in_the_slot_that_contains_it(both: tuple[Window, Timeline], data: st.DataObject) -> None:
    """From its start, inclusive, to its end, exclusive."""
    _, timeline = both
    span = timeline.end - timeline.start
    moment = timeline.start + data.draw(st.integers(0, round(span / MINUTE) - 1)) * MINUTE
    slot = timeline.slot_of(moment)
    assert timeline.starts[slot] <= moment < timeline.end_of(slot)
    assert timeline.slot_of(timeline.starts[slot]) == slot


@given(timelines())
def test_the_window_is_covered_and_its_last_day_finely(both: tuple[Window, Timeline]) -> None:
    """Hours at first, ten minutes in the last day; never more than MAX_DAYS and an hour."""
    window, timeline = both
    assert timeline.start <= max(window.start, window.end - timedelta(days=MAX_DAYS))
    assert window.end - timeline.start <= timedelta(days=MAX_DAYS) + HOUR
    for slot, start in enumerate(timeline.starts[:-1]):
        fine = start >= timeline.fine_start
        assert timeline.end_of(slot) - start == (FINE_SLOT if fine else HOUR)
        assert fine or start < window.end - FINE_SPAN
