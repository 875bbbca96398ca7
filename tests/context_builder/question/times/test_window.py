"""Times in questions become exact windows, never an error or an empty window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.question.times.bounds import MIN_TIME, floor_to_minute
from tests.support.windows import MOMENTS, find_window

FRIDAY = datetime(2026, 11, 20, 9, 30, 12, tzinfo=UTC)
NEW_YEAR = datetime(2027, 1, 1, 0, 40, tzinfo=UTC)
LEAP_DAY = datetime(2024, 2, 29, 12, 0, tzinfo=UTC)


def window(question: str, as_of: datetime = FRIDAY) -> str:
    """Return the window as `MM-DD HH:MM to MM-DD HH:MM`, with the year if it is another."""
    found = find_window(question, as_of)

    def written(moment: datetime) -> str:
        return f"{moment:%m-%d %H:%M}" if moment.year == as_of.year else f"{moment:%Y-%m-%d %H:%M}"

    return f"{written(found.start)} to {written(found.end)}"


DEFAULT = "11-19 09:30 to 11-20 09:30"


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        # since and after
        ("Why slow since Tuesday 14:00 on gpt-4?", "11-17 14:00 to 11-20 09:30"),
        ("since around 07:10", "11-20 07:10 to 11-20 09:30"),
        ("after 14:00, what broke?", "11-19 14:00 to 11-20 09:30"),
        ("since yesterday", "11-19 00:00 to 11-20 09:30"),
        ("since last week", "11-09 00:00 to 11-20 09:30"),
        ("since 2 hours ago", "11-20 07:30 to 11-20 09:30"),
        ("since noon", "11-19 12:00 to 11-20 09:30"),
        ("since midnight", "11-20 00:00 to 11-20 09:30"),
        ("since 2026-11-17T14:00Z", "11-17 14:00 to 11-20 09:30"),
        ("since the 17th of November at 2pm", "11-17 14:00 to 11-20 09:30"),
        # between and from
        ("failures between 9:00 and 11:00 yesterday please", "11-19 09:00 to 11-19 11:00"),
        ("from Monday to Wednesday", "11-16 00:00 to 11-19 00:00"),
        ("from 22:00 to 02:00", "11-19 22:00 to 11-20 02:00"),
        ("from 2026-11-17 14:00 to 15:00", "11-17 14:00 to 11-17 15:00"),
        ("from 2026-11-17 22:00 till 02:00", "11-17 22:00 to 11-18 02:00"),
        ("14:00-15:00 yesterday", "11-19 14:00 to 11-19 15:00"),
        ("between yesterday 22:00 and today 02:00", "11-19 22:00 to 11-20 02:00"),
        ("from yesterday to now", "11-19 00:00 to 11-20 09:30"),
        ("2 pm to 4 pm on Tuesday", "11-17 14:00 to 11-17 16:00"),
        ("between Friday and Tuesday", "11-13 00:00 to 11-18 00:00"),
        # lengths
        ("last 24h", DEFAULT),
        ("over the past couple of hours", "11-20 07:30 to 11-20 09:30"),
        ("in the last 15m", "11-20 09:15 to 11-20 09:30"),
        ("in the last   three\n days", "11-17 09:30 to 11-20 09:30"),
        ("the last hour", "11-20 08:30 to 11-20 09:30"),
        ("last 30 seconds", "11-20 09:29 to 11-20 09:30"),
        ("past week", "11-13 09:30 to 11-20 09:30"),
        ("last 3 months", "08-22 09:30 to 11-20 09:30"),
        # ago
        ("two hours ago", "11-20 07:00 to 11-20 08:00"),
        ("24 hours ago", "11-19 09:00 to 11-19 10:00"),
        ("3 days ago", "11-17 00:00 to 11-18 00:00"),
        ("a week ago", "11-13 00:00 to 11-14 00:00"),
        # the calendar
        ("yesterday", "11-19 00:00 to 11-20 00:00"),
        ("today", "11-20 00:00 to 11-20 09:30"),
        ("this week", "11-16 00:00 to 11-20 09:30"),
        ("last week", "11-09 00:00 to 11-16 00:00"),
        ("last month", "10-01 00:00 to 11-01 00:00"),
        ("over the weekend", "11-14 00:00 to 11-16 00:00"),
        ("this morning", "11-20 00:00 to 11-20 09:30"),
        ("last night", "11-19 18:00 to 11-20 06:00"),
        ("what broke on Tuesday?", "11-17 00:00 to 11-18 00:00"),
        ("Friday", "11-13 00:00 to 11-14 00:00"),
        ("Nov 17", "11-17 00:00 to 11-18 00:00"),
        ("2026-11-17", "11-17 00:00 to 11-18 00:00"),
        ("2025-12-31", "2025-12-31 00:00 to 01-01 00:00"),
        # MOMENTS
        ("at 14:00", "11-19 13:30 to 11-19 14:30"),
        ("around noon", "11-19 11:30 to 11-19 12:30"),
        ("at 09:20", "11-20 08:50 to 11-20 09:30"),
        ("what failed yesterday at 14:00 UTC?", "11-19 13:30 to 11-19 14:30"),
        ("on Tue at 9am", "11-17 08:30 to 11-17 09:30"),
        ("2026-11-17T14:03:22.123Z", "11-17 13:33 to 11-17 14:33"),
        ("12 am", "11-19 23:30 to 11-20 00:30"),
        # before and until
        ("before 14:00", "11-18 14:00 to 11-19 14:00"),
        ("before Tuesday", "11-16 00:00 to 11-17 00:00"),
        ("until Tuesday", "11-17 00:00 to 11-18 00:00"),
        # zones
        ("at 2pm CET", "11-19 12:30 to 11-19 13:30"),
        ("at 14:00 Europe/Berlin", "11-19 12:30 to 11-19 13:30"),
        ("since 2026-11-17 14:00+05:30", "11-17 08:30 to 11-20 09:30"),
        ("14:00 EST yesterday", "11-19 18:30 to 11-19 19:30"),
        ("since 09:30 CET", "11-20 08:30 to 11-20 09:30"),
    ],
)
def test_a_phrase_is_one_exact_window(question: str, expected: str) -> None:
    """Asked on a Friday at 09:30 UTC."""
    assert window(question) == expected


@pytest.mark.parametrize(
    "question",
    [
        "What is down?", "since v2.4.0", "since 5 requests failed", "after 3 retries", "may it fail", "",
        "Has this happened before?", "at 95 % load", "from gpt-4 to gpt-5",
        "between premium and budget", "the last straw", "a secondary cause", "sat down", "second day",
        "10 requests", "3/4 of them", "until it broke", "by monthly cost",
    ],
)  # fmt: skip
def test_other_words_are_not_read_as_times(question: str) -> None:
    """Numbers, versions and ambiguous words leave the last 24 hours."""
    assert window(question) == DEFAULT
    assert find_window(question, FRIDAY).origin == "the last 24 hours, since the question names no time"


@pytest.mark.parametrize(
    ("question", "phrase"),
    [
        ("since 2026-12-01?", "since 2026-12-01"),
        ("what fails at 25:00?", "at 25:00"),
        ("on 31 November", "on 31 November"),
        ("on 2026-02-29 it broke", "on 2026-02-29"),
        ("on 12/11/2026", "on 12/11/2026"),
        ("in the next 5 hours", "next 5 hours"),
        ("at 13pm", "at 13pm"),
        ("14:00 Nowhere/Land", "14:00 Nowhere/Land"),
    ],
)
def test_an_unreadable_time_is_named(question: str, phrase: str) -> None:
    """Law 10: the window's origin names the phrase, and the last 24 hours apply."""
    found = find_window(question, FRIDAY)
    assert window(question) == DEFAULT
    assert f"since “{phrase}” is no clear time before" in found.origin


@pytest.mark.parametrize(
    ("question", "origin"),
    [
        ("Why is gpt-4 slow since Tuesday 14:00 for premium users?", "“since Tuesday 14:00” in the question"),
        (
            "Failures between 9:00 and 11:00 yesterday, by tier",
            "“between 9:00 and 11:00 yesterday” in the question",
        ),
        ("Requests in the last 24h by tier", "“last 24h” in the question"),
        ("What broke on Tuesday for user_acme?", "“on Tuesday” in the question"),
        ("slow at 14:00 Europe/Berlin on gpt-4", "“at 14:00 Europe/Berlin” in the question"),
    ],
)
def test_the_origin_is_the_phrase_and_nothing_more(question: str, origin: str) -> None:
    """The reader sees which words were read as the time."""
    assert find_window(question, FRIDAY).origin == origin


@pytest.mark.parametrize(
    ("question", "as_of", "expected"),
    [
        ("yesterday", NEW_YEAR, "2026-12-31 00:00 to 01-01 00:00"),
        ("last month", NEW_YEAR, "2026-12-01 00:00 to 01-01 00:00"),
        ("this year", NEW_YEAR, "01-01 00:00 to 01-01 00:40"),
        ("last year", NEW_YEAR, "2026-01-01 00:00 to 01-01 00:00"),
        ("this week", NEW_YEAR, "2026-12-28 00:00 to 01-01 00:40"),
        ("at 23:50", NEW_YEAR, "2026-12-31 23:20 to 01-01 00:20"),
        ("since Dec 31", NEW_YEAR, "2026-12-31 00:00 to 01-01 00:40"),
        ("yesterday", LEAP_DAY, "02-28 00:00 to 02-29 00:00"),
        ("today", LEAP_DAY, "02-29 00:00 to 02-29 12:00"),
        ("on Feb 29", LEAP_DAY, "02-29 00:00 to 02-29 12:00"),
        ("on 29 February", FRIDAY, "2024-02-29 00:00 to 2024-03-01 00:00"),
        ("last month", datetime(2024, 3, 31, tzinfo=UTC), "02-01 00:00 to 03-01 00:00"),
    ],
)
def test_years_and_months_end(question: str, as_of: datetime, expected: str) -> None:
    """New Year, leap days and months of any length are handled."""
    assert window(question, as_of) == expected


@pytest.mark.parametrize(
    "question", ["today", "since 07:10", "yesterday at 14:00", "last 3 hours", "this week", "x"]
)
@pytest.mark.parametrize("offset", [-11, 0, 5.5, 14])
def test_the_zone_of_as_of_does_not_matter(question: str, offset: float) -> None:
    """The same instant in another zone gives the same window: days are UTC days."""
    elsewhere = FRIDAY.astimezone(timezone(timedelta(hours=offset)))
    assert find_window(question, elsewhere) == find_window(question, FRIDAY)


WORDS = [
    "since", "after", "between", "from", "and", "to", "until", "before", "at", "on", "in", "the",
    "last", "past", "this", "ago", ",", "-", "–", "now", "3", "two", "couple", "of", "0", "9999",
    "hours", "days", "weeks", "months", "years", "minutes", "yesterday", "today", "tomorrow",
    "Monday", "tue", "17", "17th", "Nov", "November", "2026", "29", "Feb", "31", "May", "may",
    "noon", "midnight", "14:00", "25:00", "9am", "13pm", "0am", "12", "pm", "UTC", "CET", "EST",
    "+05:30", "Europe/Berlin", "Foo/Bar", "Z", "2026-11-17", "2026-02-30", "0001-01-01",
    "9999-12-31", "2026-11-17T14:00Z", "12/11/2026", "week", "month", "weekend", "night", "morning",
    "x",
]  # fmt: skip


@pytest.mark.long
@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join) | st.text(), MOMENTS)
def test_any_text_gives_a_window(question: str, as_of: datetime) -> None:
    """Never an error: start before end, end not after as_of, whole UTC minutes, in any year."""
    found = find_window(question, as_of)
    assert found.start < found.end <= as_of
    assert (found.start, found.end) == (floor_to_minute(found.start), floor_to_minute(found.end))
    assert found.start.tzinfo is found.end.tzinfo is UTC
    assert "\n" not in found.origin


@pytest.mark.parametrize(
    "question", ["last 9999 weeks", "last 9999 years", "since 0001-01-01", "since 1492-10-12"]
)
def test_no_window_starts_before_1970(question: str) -> None:
    """The 7 days before a window, its baseline, exist as well."""
    assert find_window(question, FRIDAY).start == MIN_TIME


HOSTILE = [
    "since ", "last 3 ", "1 ", "a", "17 ", "17 Nov ", "Monday ", "14:00 ", "2026-11-17 ", " ", "at ", "the ",
    "a couple ", "since Monday 17 Nov 14:00 ", "from 14:00 to ", "0", "1/1/", ", ", "Aa/",
    "14:00 Europe/Berlin ", "between 31 Nov and 25:00 ",
]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("piece", HOSTILE)
def test_a_hostile_question_is_read_in_one_pass(piece: str) -> None:
    """Five times the longest question, of near-times, ends with a window."""
    assert find_window(piece * (20_000 // len(piece)), FRIDAY).end <= FRIDAY
