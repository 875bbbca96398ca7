"""Any text is read without an error, in proportional time, and any date as its exact interval."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.question.mention import TextSpan
from context_builder.question.request import Interval
from context_builder.question.times import grammar, reading
from context_builder.question.times.atom import Atom
from context_builder.question.times.lexer import MASK, Anchor
from context_builder.question.times.reading import read_times
from context_builder.question.times.vocabulary import VOCABULARY
from tests.support.windows import MOMENTS

SUNDAY = datetime(2026, 11, 29, 12, 40, tzinfo=UTC)
ZONES = {
    "": UTC,
    " UTC": UTC,
    " +05:30": timezone(timedelta(hours=5, minutes=30)),
    " JST": timezone(timedelta(hours=9)),
    " America/New_York": ZoneInfo("America/New_York"),
    " Berlin time": ZoneInfo("Europe/Berlin"),
}
ORDERS = (
    "between {0:%H:%M} and {1:%H:%M}{zone} on {day}", "on {day} between {0:%H:%M} and {1:%H:%M}{zone}",
    "{day} {0:%H:%M}-{1:%H:%M}{zone}", "{0:%I:%M %p}{zone} to {1:%I:%M %p} on {day}",
    "errors on {day} for users from {0:%H:%M} until {1:%H:%M}{zone}",
    "from {day} {0:%H:%M} to {day} {1:%H:%M}{zone}",
)  # fmt: skip
DAYS = ("{:%Y-%m-%d}", "{:%d %B %Y}", "{:%B} {:%d}, {:%Y}", "{:%b} {:%d} {:%Y}", "the {:%d} of {:%B} {:%Y}")


@pytest.mark.long
@settings(max_examples=200, deadline=None)
@given(
    st.dates(datetime(2026, 4, 1).date(), datetime(2026, 9, 30).date()),  # noqa: DTZ001  a date
    st.integers(0, 1438), st.integers(1, 720),
    st.sampled_from(ORDERS), st.sampled_from(DAYS), st.sampled_from(sorted(ZONES)),
)  # fmt: skip
def test_any_date_hours_order_and_zone_give_the_exact_interval(
    date: datetime, start: int, length: int, order: str, day: str, zone: str
) -> None:
    """What the calendar module of the standard library computes, without a daylight-saving change."""
    end = min(start + length, 1439)
    midnight = datetime(date.year, date.month, date.day, tzinfo=ZONES[zone])
    bounds = [midnight.replace(hour=at // 60, minute=at % 60) for at in (start, end)]
    text = order.format(*bounds, day=day.format(date, date, date), zone=zone)
    found = read_times(text, SUNDAY)
    assert found.refused == (), text
    assert [mention.intervals for mention in found.mentions] == [
        (Interval(bounds[0].astimezone(UTC), bounds[1].astimezone(UTC)),)
    ], text


WORDS = """
since after before until from to between and in on at the a of for last past this next previous ago now
around first second half couple early end so far working days weekends Mondays week month hours minutes day
year quarter yesterday today tomorrow Monday tue sat Nov May may 2026 29 Feb 31 3 9 12 noon midnight 14:00
25:00 9am 13pm 1h30m 5d pm UTC EST IST Z +05:30 -0800 Foo/Bar time 2026-11-17 2026-02-30 0001-01-01
9999-12-31 12/11/2026 3/4 2026-W47 Q3 H1 KW9 MTD 1795873200 , - – / . ? 's Berlin overnight morning night
tonight weekend x 99999999999 17th 2nd
"""
texts = st.lists(st.sampled_from([*WORDS.split(), *VOCABULARY, MASK, MASK * 4]), max_size=14).map(
    " ".join
) | st.text(max_size=80)


@pytest.mark.long
@settings(max_examples=600, deadline=None)
@given(texts, MOMENTS | st.just(SUNDAY))
def test_any_text_is_read_and_every_place_lies_in_it(text: str, as_of: datetime) -> None:
    """Never an error; places lie in the text and do not overlap, intervals are in order."""
    moment = as_of.astimezone(UTC)  # as any event of a database
    places = [TextSpan(at, at + 1) for at in [text.find(MASK)] if at >= 0]
    anchors = {place: Anchor(Interval(moment, moment), "x") for place in places}
    found = read_times(text, as_of, anchors)
    spans = sorted([span for m in found.mentions for span in m.spans] + [span for span, _ in found.refused])
    assert all(0 <= span.start < span.end <= len(text) for span in spans)
    assert all(earlier.end <= later.start for earlier, later in pairwise(spans))
    for mention in found.mentions:
        assert mention.label
        assert all(part.start < part.end for part in mention.intervals)
        assert all(part.start.tzinfo is UTC and part.end.tzinfo is UTC for part in mention.intervals)
        assert all(earlier.start < later.start for earlier, later in pairwise(mention.intervals))


@pytest.mark.parametrize(
    "piece",
    ["since ", "1 ", "17 Nov ", "at 14:00 to ", "the hour before ", "last ", "a half and ", MASK, "9-"],
)
def test_reading_takes_steps_in_proportion_to_the_length(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rule runs once over the text, and the text never gets longer: twice the text, twice the steps."""

    def steps(text: str) -> int:
        handled = 0

        def counted(rules: tuple[grammar.Rule, ...], atoms: list[Atom]) -> list[Atom]:
            nonlocal handled
            for rule in rules:
                handled += len(atoms)
                atoms = grammar.apply([rule], atoms)
            return atoms

        with monkeypatch.context() as patch:
            patch.setattr(reading, "apply", counted)
            read_times(text, SUNDAY)
        return handled

    assert steps(piece * 400) <= 2.2 * steps(piece * 200) + 1000
