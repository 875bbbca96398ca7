"""A time in words is its latest occurrence, to the minute or as a whole day."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from context_builder.question.moments import COUNT, MOMENT, UNIT, duration_of, names_day, read_moment

FRIDAY = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("phrase", "start", "length"),
    [
        ("Tuesday", "2026-11-17 00:00", timedelta(days=1)),
        ("last Tue", "2026-11-17 00:00", timedelta(days=1)),
        ("thurs 14:00", "2026-11-19 14:00", timedelta(0)),
        ("Friday 09:30", "2026-11-13 09:30", timedelta(0)),
        ("today 09:31", "2026-11-20 09:31", timedelta(0)),
        ("09:31", "2026-11-19 09:31", timedelta(0)),
        ("Tuesday, 17 November 2026 at 2:05 pm", "2026-11-17 14:05", timedelta(0)),
        ("Nov 25", "2025-11-25 00:00", timedelta(days=1)),
        ("2026-12-24", "2026-12-24 00:00", timedelta(days=1)),
        ("00:15 +05:30", "2026-11-19 18:45", timedelta(0)),
        ("23:00 PST", "2026-11-20 07:00", timedelta(0)),
        ("2026-07-01 12:00 Europe/Berlin", "2026-07-01 10:00", timedelta(0)),
        ("noon UTC", "2026-11-19 12:00", timedelta(0)),
        ("a few minutes ago", "2026-11-20 09:27", timedelta(0)),
        ("2 weeks ago", "2026-11-06 00:00", timedelta(days=1)),
        ("this hour", "2026-11-20 09:00", timedelta(minutes=30)),
    ],
)
def test_a_phrase_names_one_span(phrase: str, start: str, length: timedelta) -> None:
    """Relative to a Friday; explicit dates, zones and daylight saving are respected."""
    assert re.fullmatch(MOMENT, phrase, re.IGNORECASE | re.ASCII)
    span = read_moment(phrase, FRIDAY)
    assert span is not None
    assert f"{span[0]:%Y-%m-%d %H:%M}" == start
    assert span[1] - span[0] == length


@pytest.mark.parametrize(
    "phrase",
    ["31 November", "2026-02-29", "2026-13-01 12:00", "25:00", "12:60", "0 am", "13 pm", "12:00 No/Where"],
)
def test_a_time_that_does_not_exist_is_none(phrase: str) -> None:
    """A phrase of the right form may still name no time."""
    assert (
        re.fullmatch(MOMENT, phrase, re.IGNORECASE | re.ASCII) is None or read_moment(phrase, FRIDAY) is None
    )


@pytest.mark.parametrize(
    "phrase", ["May", "sat", "5", "2026", "v2.4.0", "the deploy", "12/11/2026", "next week"]
)
def test_other_words_do_not_match(phrase: str) -> None:
    """Words that a date parser would guess at are not read as times."""
    assert re.fullmatch(MOMENT, phrase, re.IGNORECASE | re.ASCII) is None
    assert read_moment(phrase, FRIDAY) is None


@pytest.mark.parametrize(
    ("phrase", "length"),
    [
        ("hour", timedelta(hours=1)), ("3 h", timedelta(hours=3)), ("15m", timedelta(minutes=15)),
        ("a couple of days", timedelta(days=2)), ("two months", timedelta(days=60)),
        ("1 year", timedelta(days=365)),
    ],
)  # fmt: skip
def test_a_duration_in_words(phrase: str, length: timedelta) -> None:
    """With a number, a number word or none; `m` is minutes, `mo...` months."""
    assert duration_of(phrase) == length
    assert re.fullmatch(rf"(?:{COUNT} ?)?{UNIT}", phrase)


def test_anything_else_is_no_duration() -> None:
    """Passing anything else is a bug in the caller, and raises."""
    with pytest.raises(ValueError, match="not a duration: 'soon'"):
        duration_of("soon")


@pytest.mark.parametrize(
    ("phrase", "does"), [("14:00", False), ("14:00 CET", False), ("14:00 today", True), ("Nov 3", True)]
)
def test_whether_a_phrase_names_a_day(phrase: str, does: bool) -> None:
    """A range with a day at one end applies it to both."""
    assert names_day(phrase) is does
