"""Every kind of time that people write is read as exact intervals, or refused with a reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from context_builder.question.mention import TextSpan
from context_builder.question.request import Interval
from context_builder.question.times.lexer import MASK, Anchor
from context_builder.question.times.reading import TimeReading, read_times

SUNDAY = datetime(2026, 11, 29, 12, 40, tzinfo=UTC)
NOW = "11-29 12:40"
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def written(interval: Interval) -> str:
    """Return an interval as `MM-DD HH:MM/MM-DD HH:MM`, with its year if that is not 2026."""
    ends = (interval.start, interval.end)
    return "/".join(f"{at:%m-%d %H:%M}" if at.year == 2026 else f"{at:%Y-%m-%d %H:%M}" for at in ends)


def read(text: str, as_of: datetime = SUNDAY) -> list[str]:
    """Return each mention's intervals in words."""
    mentions = read_times(text, as_of).mentions
    return [", ".join(written(interval) for interval in mention.intervals) for mention in mentions]


def with_events(text: str) -> tuple[str, TimeReading]:
    """Read a text in which DEPLOY is a point in time, INCIDENT lasts from then, and NAME is a name."""
    events = {"DEPLOY": 0, "INCIDENT": 50}
    started = datetime(2026, 11, 27, 15, tzinfo=UTC)
    anchors: dict[TextSpan, Anchor] = {}
    for name, minutes in events.items():
        if name in text:
            place = TextSpan(text.index(name), text.index(name) + len(name))
            anchors[place] = Anchor(Interval(started, started + timedelta(minutes=minutes)), name.lower())
    for name in (*events, "NAME"):
        text = text.replace(name, MASK * len(name))
    return text, read_times(text, SUNDAY, anchors)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # a day and a time of day, in any order
        ("What changed yesterday between 09:00 and 10:00?", "11-28 09:00/11-28 10:00"),
        ("Errors on 2026-11-26 between 09:00 and 10:00 UTC", "11-26 09:00/11-26 10:00"),
        ("Errors last Friday after 18:00", "11-27 18:00/11-28 00:00"),
        ("after 18:00 last Friday", "11-27 18:00/11-28 00:00"),
        ("yesterday before 9 am", "11-28 00:00/11-28 09:00"),
        ("between 10:00 and 11:00 EST yesterday", "11-28 15:00/11-28 16:00"),
        ("Nov 17 10:00-11:00", "11-17 10:00/11-17 11:00"),
        ("17 November 2026, 22:30 UTC", "11-17 22:00/11-17 23:00"),
        ("22:30 UTC on Nov 17", "11-17 22:00/11-17 23:00"),
        ("from 22:00 to 02:00 yesterday", "11-28 22:00/11-29 02:00"),
        ("at 1400 UTC yesterday", "11-28 13:30/11-28 14:30"),
        ("from 14:00 yesterday", f"11-28 14:00/{NOW}"),
        ("from Monday 22:00 to 02:00", "11-23 22:00/11-24 02:00"),
        # am and pm are shared
        ("between 2 and 4 pm yesterday", "11-28 14:00/11-28 16:00"),
        ("2-4pm yesterday", "11-28 14:00/11-28 16:00"),
        ("9am-11", "11-29 09:00/11-29 11:00"),
        ("11 to 1 pm", "11-29 11:00/11-29 13:00"),
        ("11 p.m. to 2 yesterday", "11-28 23:00/11-29 02:00"),
        ("10:00 to midnight yesterday", "11-28 10:00/11-29 00:00"),
        ("9 to noon yesterday", "11-28 09:00/11-28 12:00"),
        ("02:00 to 4 pm yesterday", "11-28 02:00/11-28 16:00"),
        # bare numbers in the company of a day
        ("yesterday between 9 and 10", "11-28 09:00/11-28 10:00"),
        ("from 9 to 5 yesterday", "11-28 09:00/11-28 17:00"),
        ("yesterday at 9", "11-28 08:30/11-28 09:30"),
        ("since 9 yesterday", f"11-28 09:00/{NOW}"),
        ("yesterday evening between 7 and 9", "11-28 19:00/11-28 21:00"),
        ("last night between 11 and 1", "11-28 23:00/11-29 01:00"),
        ("yesterday's errors between 9 and 10", "11-28 09:00/11-28 10:00"),
        ("show me 14h-16h yesterday", "11-28 14:00/11-28 16:00"),
        ("10-12 yesterday", "11-28 10:00/11-28 12:00"),
        ("at 1430Z on Nov 27", "11-27 14:00/11-27 15:00"),
        ("at 3 in the morning", "11-29 02:30/11-29 03:30"),
        ("half past nine", "11-29 09:00/11-29 10:00"),
        # timestamps
        ("since 2026-11-27T22:30:00-08:00", f"11-28 06:30/{NOW}"),
        ("since 2026-11-27T22:30:00.123-08:00", f"11-28 06:30/{NOW}"),
        ("2026-11-27 22:30 -0800", "11-28 06:00/11-28 07:00"),
        ("2026-11-27T22:30-08:00", "11-28 06:00/11-28 07:00"),
        ("2026-11-27 09:00-10:00", "11-27 09:00/11-27 10:00"),
        ("2026-11-27T22:30:00Z/2026-11-27T23:30:00Z", "11-27 22:30/11-27 23:30"),
        ("since 1795873200", f"11-28 13:40/{NOW}"),
        ("since 1795873200000", f"11-28 13:40/{NOW}"),
        # periods of the calendar
        ("Cost in Q3", "07-01 00:00/10-01 00:00"),
        ("Q3 2025", "2025-07-01 00:00/2025-10-01 00:00"),
        ("third quarter", "07-01 00:00/10-01 00:00"),
        ("this quarter", f"10-01 00:00/{NOW}"),
        ("last quarter", "07-01 00:00/10-01 00:00"),
        ("Top users by cost in October", "10-01 00:00/11-01 00:00"),
        ("last November", "2025-11-01 00:00/2025-12-01 00:00"),
        ("in Oct 2025", "2025-10-01 00:00/2025-11-01 00:00"),
        ("early October", "10-01 00:00/10-11 00:00"),
        ("mid-October", "10-11 00:00/10-21 00:00"),
        ("late October", "10-21 00:00/11-01 00:00"),
        ("first half of October", "10-01 00:00/10-16 00:00"),
        ("second half of last year", "2025-07-01 00:00/01-01 00:00"),
        ("H1", "01-01 00:00/07-01 00:00"),
        ("in 2025", "2025-01-01 00:00/01-01 00:00"),
        ("2026-W47", "11-16 00:00/11-23 00:00"),
        ("week 47", "11-16 00:00/11-23 00:00"),
        ("KW47", "11-16 00:00/11-23 00:00"),
        ("month to date", f"11-01 00:00/{NOW}"),
        ("QTD", f"10-01 00:00/{NOW}"),
        ("so far today", f"11-29 00:00/{NOW}"),
        ("previous hour", "11-29 11:00/11-29 12:00"),
        ("the week before last", "11-09 00:00/11-16 00:00"),
        ("the week of Nov 9", "11-09 00:00/11-16 00:00"),
        ("the day before yesterday", "11-27 00:00/11-28 00:00"),
        ("the last 3 days of October", "10-29 00:00/11-01 00:00"),
        ("since the start of the month", f"11-01 00:00/{NOW}"),
        ("in May", "05-01 00:00/06-01 00:00"),
        ("from March to May 2025", "2025-03-01 00:00/2025-06-01 00:00"),
        ("from Nov 3 2025 to Nov 5", "2025-11-03 00:00/2025-11-06 00:00"),
        # weekdays and dates
        ("last week's Tuesday", "11-17 00:00/11-18 00:00"),
        ("Tuesday of last week", "11-17 00:00/11-18 00:00"),
        ("a week ago Tuesday", "11-17 00:00/11-18 00:00"),
        ("two Tuesdays ago", "11-17 00:00/11-18 00:00"),
        ("last Friday of October", "10-30 00:00/10-31 00:00"),
        ("Friday to Monday", "11-20 00:00/11-24 00:00"),
        ("Mar 3-5", "03-03 00:00/03-06 00:00"),
        ("3-5 March", "03-03 00:00/03-06 00:00"),
        ("Nov 24 to 26", "11-24 00:00/11-27 00:00"),
        ("24.-26. November", "11-24 00:00/11-27 00:00"),
        ("27.11.2026", "11-27 00:00/11-28 00:00"),
        ("on 11/27", "11-27 00:00/11-28 00:00"),
        ("between the 3rd and the 5th", "11-03 00:00/11-06 00:00"),
        ("Nov. 17 at 9 a.m.", "11-17 08:30/11-17 09:30"),
        ("between Nov. 3 and Nov. 5", "11-03 00:00/11-06 00:00"),
        ("Nov 1 – Nov 5, 2026", "11-01 00:00/11-06 00:00"),
        ("2026-11-01..2026-11-05", "11-01 00:00/11-06 00:00"),
        ("Nov 17, 18 and 20", "11-17 00:00/11-19 00:00, 11-20 00:00/11-21 00:00"),
        ("weeks 46 and 47", "11-09 00:00/11-23 00:00"),
        ("Tuesday before last", "11-17 00:00/11-18 00:00"),
        # parts of a day
        ("from 6pm yesterday until 8 this morning", "11-28 18:00/11-29 08:00"),
        ("at 21:00 yesterday evening", "11-28 20:30/11-28 21:30"),
        ("the night before last", "11-27 18:00/11-28 06:00"),
        ("yesterday morning", "11-28 00:00/11-28 12:00"),
        ("Tuesday night", "11-24 18:00/11-25 06:00"),
        ("overnight", "11-28 18:00/11-29 06:00"),
        # durations
        ("half an hour ago", "11-29 11:40/11-29 12:40"),
        ("last hour and a half", f"11-29 11:10/{NOW}"),
        ("last 1.5 hours", f"11-29 11:10/{NOW}"),
        ("last 1h30m", f"11-29 11:10/{NOW}"),
        ("in the past day and a half", f"11-28 00:40/{NOW}"),
        ("last fortnight", f"11-15 12:40/{NOW}"),
        ("the 90 minutes before noon on Monday", "11-23 10:30/11-23 12:00"),
        ("the hour after 14:00", "11-28 14:00/11-28 15:00"),
        ("first hour of yesterday", "11-28 00:00/11-28 01:00"),
        ("20 minutes around 14:05", "11-28 13:55/11-28 14:15"),
        ("between 3 and 5 hours ago", "11-29 07:40/11-29 09:40"),
        ("last 3 business days", "11-25 00:00/11-28 00:00"),
        ("second week of November", "11-08 00:00/11-15 00:00"),
        ("the last month of Q3", "09-01 00:00/10-01 00:00"),
        ("since 3 hours", f"11-29 09:40/{NOW}"),
        # zones
        ("14:00 Berlin time yesterday", "11-28 12:30/11-28 13:30"),
        ("yesterday 14:00 PT", "11-28 21:30/11-28 22:30"),
        ("10 am New York time on Friday", "11-27 14:30/11-27 15:30"),
        ("yesterday in Tokyo time", "11-27 15:00/11-28 15:00"),
        ("yesterday PST", "11-28 08:00/11-29 08:00"),
        ("from 10:00 EST to 18:00 CET yesterday", "11-28 15:00/11-28 17:00"),
        ("July 3 14:00 ET", "07-03 17:30/07-03 18:30"),
    ],
)
def test_one_time_is_one_exact_interval(text: str, expected: str) -> None:
    """Asked on a Sunday at 12:40 UTC."""
    assert read(text) == [expected]


@pytest.mark.parametrize(
    ("text", "start", "length"),
    [
        ("Tuesday", "2026-11-17 00:00", DAY),
        ("last Tue", "2026-11-17 00:00", DAY),
        ("thurs 14:00", "2026-11-19 13:30", HOUR),
        ("Friday 09:30", "2026-11-13 09:00", HOUR),
        ("09:31", "2026-11-19 09:01", HOUR),
        ("Tuesday, 17 November 2026 at 2:05 pm", "2026-11-17 13:35", HOUR),
        ("Nov 25", "2025-11-25 00:00", DAY),
        ("00:15 +05:30", "2026-11-19 18:15", HOUR),
        ("23:00 PST", "2026-11-20 06:30", HOUR),
        ("2026-07-01 12:00 Europe/Berlin", "2026-07-01 09:30", HOUR),
        ("noon UTC", "2026-11-19 11:30", HOUR),
        ("a few minutes ago", "2026-11-20 08:57", HOUR),
        ("2 weeks ago", "2026-11-06 00:00", DAY),
        ("this hour", "2026-11-20 09:00", HOUR / 2),
        ("last 3 h", "2026-11-20 06:30", 3 * HOUR),
        ("last 15m", "2026-11-20 09:15", HOUR / 4),
        ("last two months", "2026-09-21 09:30", 60 * DAY),
        ("last 1 year", "2025-11-20 09:30", 365 * DAY),
    ],
)
def test_a_time_is_its_latest_occurrence(text: str, start: str, length: timedelta) -> None:
    """Relative to a Friday at 09:30; a point in time is the half hour on either side of it."""
    (mention,) = read_times(text, datetime(2026, 11, 20, 9, 30, tzinfo=UTC)).mentions
    (found,) = mention.intervals
    assert (f"{found.start:%Y-%m-%d %H:%M}", found.end - found.start) == (start, length)


@pytest.mark.parametrize(
    ("text", "count", "first", "last"),
    [
        ("working days in October", 5, "10-01 00:00/10-03 00:00", "10-26 00:00/10-31 00:00"),
        ("weekdays this week", 1, "11-23 00:00/11-28 00:00", "11-23 00:00/11-28 00:00"),
        ("Mon-Fri last week", 1, "11-16 00:00/11-21 00:00", "11-16 00:00/11-21 00:00"),
        ("weekends in October", 5, "10-03 00:00/10-05 00:00", "10-31 00:00/11-01 00:00"),
        ("Mondays in October", 4, "10-05 00:00/10-06 00:00", "10-26 00:00/10-27 00:00"),
        ("between 9 and 10 am last week", 7, "11-16 09:00/11-16 10:00", "11-22 09:00/11-22 10:00"),
        ("weekdays between 9 and 17 last week", 5, "11-16 09:00/11-16 17:00", "11-20 09:00/11-20 17:00"),
        ("at noon this week", 7, "11-23 11:30/11-23 12:30", "11-29 11:30/11-29 12:30"),
    ],
)
def test_one_time_may_have_several_intervals(text: str, count: int, first: str, last: str) -> None:
    """They are in order and disjoint; days that touch are one."""
    (mention,) = read_times(text, SUNDAY).mentions
    assert (len(mention.intervals), written(mention.intervals[0]), written(mention.intervals[-1])) == (
        count, first, last,
    )  # fmt: skip
    assert all(earlier.end < later.start for earlier, later in pairwise(mention.intervals))


@pytest.mark.parametrize(
    ("text", "expected", "label"),
    [
        ("since the DEPLOY", f"11-27 15:00/{NOW}", "since the deploy"),
        ("before DEPLOY", "11-26 15:00/11-27 15:00", "before deploy"),
        ("What happened during INCIDENT?", "11-27 15:00/11-27 15:50", "incident"),
        ("the hour before DEPLOY", "11-27 14:00/11-27 15:00", "hour before deploy"),
        ("between DEPLOY and noon", "11-27 15:00/11-28 12:00", "between deploy and noon"),
        ("from DEPLOY until INCIDENT", "11-27 15:00/11-27 15:50", "from deploy until incident"),
        ("after INCIDENT", f"11-27 15:50/{NOW}", "after incident"),
        ("around DEPLOY", "11-27 14:30/11-27 15:30", "deploy"),
        ("within 30 minutes of DEPLOY", "11-27 14:30/11-27 15:30", "30 minutes of deploy"),
        ("the first 20 minutes of INCIDENT", "11-27 15:00/11-27 15:20", "first 20 minutes of incident"),
        # words in between
        ("yesterday, for NAME, from 9 to 5pm", "11-28 09:00/11-28 17:00", "yesterday from 9 to 5pm"),
        (
            "between 9 and 10 am for NAME yesterday",
            "11-28 09:00/11-28 10:00",
            "between 9 and 10 am yesterday",
        ),
        ("last week for NAME on Tuesday", "11-17 00:00/11-18 00:00", "last week Tuesday"),
    ],
)
def test_an_event_is_a_moment_and_names_may_stand_between(text: str, expected: str, label: str) -> None:
    """Events take part in the grammar like dates; a day and its hours need not be neighbours."""
    _, found = with_events(text)
    (mention,) = found.mentions
    assert ([written(interval) for interval in mention.intervals], mention.label) == ([expected], label)


@pytest.mark.parametrize("text", ["Why did INCIDENT happen?", "errors in DEPLOY", "NAME and INCIDENT"])
def test_an_event_that_no_word_takes_as_a_time_is_none(text: str) -> None:
    """An incident's name alone asks about the incident."""
    assert with_events(text)[1] == TimeReading((), ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MASKED this week XX last week", [f"11-23 00:00/{NOW}", "11-16 00:00/11-23 00:00"]),
        ("Tuesday XX last week's Tuesday", ["11-24 00:00/11-25 00:00", "11-17 00:00/11-18 00:00"]),
        ("today XX yesterday", ["11-29 00:00/11-30 00:00", "11-28 00:00/11-29 00:00"]),
        ("Monday 14:00 XX Tuesday 14:00", ["11-23 13:30/11-23 14:30", "11-24 13:30/11-24 14:30"]),
        ("since DEPLOY on Tuesday", [f"11-27 15:00/{NOW}", "11-24 00:00/11-25 00:00"]),
    ],
)
def test_times_that_do_not_combine_are_mentions_of_their_own(text: str, expected: list[str]) -> None:
    """Two sides of a comparison stay two, whose word of comparison is masked."""
    found = with_events(text.replace("MASKED", MASK * 6).replace("XX", MASK * 2))[1]
    assert [written(interval) for mention in found.mentions for interval in mention.intervals] == expected


@pytest.mark.parametrize(
    "text",
    [
        "since v2.4.0", "1.2.3", "p95 over 50% or $5", "error codes 500, 429 and 5xx", "top 10 users",
        "the last 5 incidents", "past incidents", "may I ask", "the sun and a march", "24/7",
        "in 2 regions", "a week-old deploy", "second attempt", "the 95th percentile", "gpt-4 and llama 3.1",
        "from 5 to 10 requests", "errors rose from 5 to 10", "inc-2026-11-27", "last 10m tokens",
        "in the second place", "model-20241022", "a 30s timeout", "the last one", "slow and may fail",
        "between 5 and 10 users", "now", "response time", "May", "sat", "5", "2026", "the deploy",
        "soon", "at 99.9",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_time_is_none(text: str) -> None:
    """Versions, counts, codes, and words with another meaning."""
    assert read_times(text, SUNDAY) == TimeReading((), ())


@pytest.mark.parametrize(
    ("text", "words", "reason"),
    [
        ("on 31 November", "on 31 November", "31 November does not exist"),
        ("on 29 Feb 2026", "on 29 Feb 2026", "29 February 2026 does not exist"),
        ("2026-13-01 12:00", "2026-13-01 12:00", "there is no month 13"),
        ("since 12/11/2026", "since 12/11/2026", "12/11/2026 may be day or month first; write 2026-11-12"),
        ("on 3/4", "on 3/4", "3/4 may be day or month first"),
        ("yesterday at 25:00", "yesterday at 25:00", "25:00 is no time of day"),
        ("at 13 pm", "at 13 pm", "13 pm is no time of day"),
        ("14:00 Nowhere/Land", "14:00 Nowhere/Land", "the time zone Nowhere/Land is not known"),
        ("12:60", "12:60", "is no time of day"),
        ("0 am", "0 am", "0 am is no time of day"),
        ("next week", "next week", "is after the moment asked about"),
        ("tomorrow", "tomorrow", "is after the moment asked about"),
        ("in the next 5 minutes", "next 5 minutes", "is after the moment asked about"),
        ("today at 15:00", "today at 15:00", "is after the moment asked about"),
        ("from Nov 28 to Nov 26 2026", "from Nov 28 to Nov 26 2026", None),
        ("1000000 years ago", "1000000 years ago", "lies before 1970"),
        ("week 54", "week 54", "has no week 54"),
        ("2026-11-28 to 2026-11-26", "2026-11-28 to 2026-11-26", "the range ends before it starts"),
    ],
)
def test_a_time_that_cannot_be_used_is_refused_with_the_reason(
    text: str, words: str, reason: str | None
) -> None:
    """The place of all its words is told, and no mention is made; a date without year adapts instead."""
    found = read_times(text, SUNDAY)
    if reason is None:
        assert (len(found.mentions), found.refused) == (1, ())
        return
    ((span, told),) = found.refused
    assert (text[span.start : span.end], found.mentions) == (words, ())
    assert reason in told


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("14:00 IST yesterday", "IST is read as India Standard Time (UTC+05:30); it may also mean Israel"),
        ("14:00 CST yesterday", "China Standard Time (UTC+08:00)"),
        ("14:00 EST yesterday", "Australian Eastern Standard Time"),
        ("July 3 14:00 EST", "EST is UTC-05:00 all year, but America/New_York keeps UTC-04:00 then"),
        ("2026-03-08 02:30 ET", "02:30 on 2026-03-08 does not exist in America/New_York"),
        ("2026-11-01 01:30 New York time", "01:30 on 2026-11-01 exists twice in America/New_York; the first"),
        ("2026-11-27 22:30-08:00", "-08:00 is read as the offset of a time zone"),
        ("Tuesday night", "night is read as 18:00 to 06:00"),
        ("overnight", "night is read as 18:00 to 06:00"),
        ("on weekdays", "without a period, weekdays are those of the last 7 days"),
    ],
)
def test_what_is_not_plain_is_noted(text: str, note: str) -> None:
    """The reader learns how an ambiguous word was understood."""
    (mention,) = read_times(text, SUNDAY).mentions
    assert note in mention.note


@pytest.mark.parametrize("text", ["14:00 JST yesterday", "yesterday", "14:00 ET yesterday", "Q3", "5 pm CET"])
def test_what_is_plain_has_no_note(text: str) -> None:
    """A note is an exception."""
    assert [mention.note for mention in read_times(text, SUNDAY).mentions] == [""]


def cases(repository: Path) -> list[Mapping[str, str]]:
    path = repository.parent / "shared" / "data" / "cases" / "questions.jsonl"
    if not path.exists():
        pytest.skip(f"the questions that were misread are not at {path}")
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_the_windows_of_reported_questions_are_read(repository: Path) -> None:
    """Questions of the public whose window was wrong give the expected one."""
    checked = 0
    for case in cases(repository):
        expected = case["expect"]
        if isinstance(expected, dict) and "start" in expected:
            (mention,) = read_times(case["question"], datetime.fromisoformat(case["as_of"])).mentions
            bounds = [datetime.fromisoformat(expected[end]) for end in ("start", "end")]
            assert [mention.intervals[0].start, mention.intervals[-1].end] == bounds, case["id"]
            checked += 1
    assert checked >= 8
