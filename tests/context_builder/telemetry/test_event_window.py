"""Events are read from the right time span, and their distance from the onset is right."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from context_builder.telemetry.event_window import (
    before_window,
    causal_window,
    in_question_window,
    offset_text,
    period_text,
    proximity,
    recent_window,
)
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, asking

SHORT = asking(since=NOON - HOUR)
LONG = asking(since=NOON - 3 * DAY)


def test_events_are_read_at_least_a_day_back() -> None:
    """A short window is extended, a long one is not; causes are read a day earlier."""
    assert in_question_window(SHORT).since == NOON - HOUR
    assert recent_window(SHORT).since == NOON - DAY
    assert recent_window(LONG).since == in_question_window(LONG).since == NOON - 3 * DAY
    assert causal_window(SHORT).since == before_window(SHORT).since == NOON - HOUR - DAY
    assert before_window(SHORT).until == NOON - HOUR


def test_no_span_passes_as_of() -> None:
    """Even if the window does; events at as_of itself are included."""
    request = asking(NOON - MINUTE, since=NOON - HOUR, until=NOON)
    for span in (in_question_window(request), recent_window(request), causal_window(request)):
        assert span.until == NOON - MINUTE + timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("value", "onset", "said"),
    [
        (NOON, None, ""),
        (NOON, NOON, ", at the onset"),
        (NOON - 12 * MINUTE, NOON, ", 12 min before the onset"),
        (NOON + 3 * HOUR, NOON, ", 3 h 0 min after the onset"),
    ],
)
def test_the_distance_to_the_onset_is_stated(value: datetime, onset: datetime | None, said: str) -> None:
    """In words that need no arithmetic."""
    assert offset_text(value, onset) == said


def test_proximity_falls_with_distance_on_both_sides() -> None:
    """From 1 at the moment itself towards, but never to, 0."""
    near = [proximity(NOON + n * HOUR, NOON) for n in (0, 1, -6, 24, 24 * 365 * 50)]
    assert near[0] == 1
    assert near[2] == 0.5
    assert near == sorted(near, reverse=True)
    assert near[-1] > 0


def test_one_minute_is_no_span() -> None:
    """Two times within one minute read as one."""
    assert period_text(NOON, NOON + timedelta(seconds=59)) == "at 2026-03-10 12:00"
    assert period_text(NOON, NOON + MINUTE) == "between 2026-03-10 12:00 and 2026-03-10 12:01"
