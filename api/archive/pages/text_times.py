"""When an incident began and ended, as its page says: labels, title, timeline, name of the file. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from api.archive.pages.entries import Entry
from api.archive.pages.text_fields import MAX_CHARACTERS, field_of
from api.archive.pages.written_times import NOT_A_TIME, Stamp, find_stamps, moment_of, parse_length
from api.ingest.records import ValueProblem
from api.ingest.records.problems import excerpt
from context_builder.text.markdown import sections, text_blocks
from context_builder.text.zones import ZONE, zone_named

_DAY = timedelta(days=1)
_BEFORE_TIME = re.compile(r"[\s*_`~(\[|\u2013\u2014:-]*(?:at |am |um |ca\. |~)?", re.IGNORECASE)
_ZONE_OF_PAGE = re.compile(
    rf"^[#|][^\n]*\((?:(?:all|times|in|are)\s){{0,4}}(?P<noted>{ZONE})\)"
    r"|(?i:\b(?:time ?zone|timeline|timestamps?|times?|date|start|end|zeit(?:en|zone|leiste)?)|時刻|日時)"
    rf"[\W_]{{1,3}}(?:(?i:are|is|in|all|listed|given|shown|times|sind|the)[\W_]{{1,3}}){{0,4}}(?P<said>{ZONE})"
)
_NAME = "the name of the file"
_HALF_A_DAY_H = 12
_MAX_LINE = 300
"""Characters of a line that are searched for a zone."""


@dataclass(frozen=True, slots=True)
class PageTimes:
    """Start and end as a page states them, and where it does."""

    start: datetime | None = None
    end: datetime | None = None
    places: Mapping[str, str] = field(default_factory=dict)
    """Where each was found, by `started_at` and `resolved_at`."""


@dataclass(frozen=True, slots=True)
class _Found:
    """Times of one place; the second is the end of a period."""

    stamps: Sequence[Stamp]
    place: str

    def dated(self) -> Stamp | None:
        """Return the first that has a day."""
        return next((stamp for stamp in self.stamps if stamp.day), None)


def find_times(
    markdown: str, found: Mapping[str, Sequence[Entry]], zone: tzinfo | None, name: str | None
) -> PageTimes:
    """Return when a page says that its incident began and ended; `name` is a day in the name of its file.

    Its day is that of the first of these that has one: labels, title, timeline, name, any time in the text.
    Its time of day is that of the first that has one of the same day, or of none. The end is that of labels,
    of a period, after a duration, or the last of the timeline.

    Raises:
        ValueProblem: a label has a time that is ambiguous; none of several is a time; no zone is known.
    """
    text = markdown[:MAX_CHARACTERS]
    zone, zone_place = next(_page_zones(text, zone), (zone, ""))
    labelled, problem = _labelled([*found.get("started_at", ()), *found.get("date", ())], zone)
    timeline = _timeline(text, zone)
    begins = [*labelled, *_in_title(found, zone), *timeline[:1]]
    if name:
        begins.append(_Found(find_stamps(name), _NAME))
    dated = next((each for each in begins if each.dated()), None)
    if dated is None or dated.place == _NAME:
        begins += _anywhere(text, zone)
        dated = dated or next((each for each in begins if each.dated()), None)
    if dated is None:
        if problem:
            raise problem
        return PageTimes()
    day = dated.dated() or Stamp()
    timed = next((each for each in begins if each.stamps[0].clock and _fits(each.stamps[0], day)), None)
    clock = timed.stamps[0] if timed else Stamp()
    stamp = Stamp(day.day, clock.clock, clock.zone or day.zone)
    remarks: list[str] = []
    start = moment_of(stamp, zone, remarks)
    places = {"started_at": dated.place if timed in (None, dated) else f"{dated.place} and {timed.place}"}
    if zone_place and stamp.zone is None:
        places["started_at"] += f", its zone from {zone_place}"
    places["started_at"] += "".join(f" ({remark})" for remark in remarks)
    periods = [*labelled, timed] if timed else labelled
    end, place = next(_ends(start, stamp, found, periods, timeline, zone), (None, ""))
    return PageTimes(start, end, places | {"resolved_at": place})


def find_end(
    start: datetime, markdown: str, found: Mapping[str, Sequence[Entry]], zone: tzinfo | None
) -> PageTimes:
    """Return when a page says that its incident ended, if its start is known. Raises ValueProblem."""
    zone, _ = next(_page_zones(markdown[:MAX_CHARACTERS], zone), (zone, ""))
    local = start.astimezone(zone or UTC)
    stamp = Stamp(local.date(), local.time(), zone)
    labelled, _ = _labelled(found.get("date", ()), zone)
    end, place = next(_ends(start, stamp, found, labelled, (), zone), (None, ""))
    return PageTimes(start, end, {"resolved_at": place})


def _fits(stamp: Stamp, other: Stamp) -> bool:
    return stamp.day in (None, other.day)


def _labelled(entries: Sequence[Entry], zone: tzinfo | None) -> tuple[list[_Found], ValueProblem | None]:
    """Return the times of labels, and why the first of the others has none.

    Raises:
        ValueProblem: one is ambiguous.
    """
    found, first_problem = [], None
    for entry in entries:
        line = entry.text.partition("\n")[0]
        try:
            if stamps := find_stamps(line, zone, strict=True):
                found.append(_Found(stamps, str(entry)))
                continue
            problem = ValueProblem(
                NOT_A_TIME, f"{excerpt(line)} in {entry}; expected a date like 2024-03-05 14:02 UTC"
            )
        except ValueProblem as error:
            if error.kind != NOT_A_TIME:
                raise ValueProblem(error.kind, f"{error.detail} (in {entry})") from None
            problem = error
        first_problem = first_problem or problem
    return found, first_problem


def _in_title(found: Mapping[str, Sequence[Entry]], zone: tzinfo | None) -> Iterator[_Found]:
    for entry in found.get("title", ()):
        with suppress(ValueProblem):
            if stamps := find_stamps(entry.text, zone):
                yield _Found(stamps, str(entry))


def _timeline(text: str, zone: tzinfo | None) -> list[_Found]:
    """Return the times with which lines, items of lists and rows of tables begin, each with its day if known.

    If a section is called a timeline only its times count.
    """
    by_section: dict[bool, list[_Found]] = {True: [], False: []}
    level = 0
    for section in sections(text):
        is_timeline = field_of(section.title) == "timeline"
        if section.level <= level or is_timeline:
            level = section.level if is_timeline else 0
        by_section[bool(level)] += _timed_lines(section.title, section.own_text, section.text_line, zone)
    timed = by_section[True] or by_section[False]
    if all(each.stamps[0].day for each in timed):
        # Pages of status updates begin with the last.
        timed.sort(key=lambda each: (each.stamps[0].day or date.min, each.stamps[0].clock or time()))
    return timed


def _timed_lines(title: str, text: str, first_line: int, zone: tzinfo | None) -> Iterator[_Found]:
    """Yield the times of the lines of one section; a day alone is that of the times below it."""
    day = _leading(title, zone)
    last: Stamp | None = None
    for block in text_blocks(text):
        for row, cells in enumerate(block.rows):
            lines = [" ".join(cells[:2])] if block.kind == "table" else cells
            for part, line in enumerate(lines):
                stamp = _leading(line, zone)
                if stamp is None or stamp.clock is None:
                    day = stamp or day
                    continue
                if stamp.day is None and day is not None:
                    is_next = (
                        last is not None
                        and last.clock
                        and last.clock > stamp.clock
                        and _is_far(last.clock, stamp.clock)
                    )
                    stamp = Stamp((last.day if last and last.day else day.day), stamp.clock, stamp.zone)
                    if is_next and stamp.day:
                        stamp = Stamp(stamp.day + _DAY, stamp.clock, stamp.zone)
                last = stamp
                yield _Found([stamp], f"the timeline, line {first_line - 1 + block.line_of(row, part)}")


def _is_far(before: time, after: time) -> bool:
    """Return True if an earlier time of day is that of the next day and not only out of order."""
    return before.hour - after.hour >= _HALF_A_DAY_H


def _leading(line: str, zone: tzinfo | None) -> Stamp | None:
    begin = _BEFORE_TIME.match(line)
    text = line[begin.end() if begin else 0 :][:100]
    with suppress(ValueProblem):
        for stamp in find_stamps(text, zone)[:1]:
            return stamp if stamp.start == 0 else None
    return None


def _anywhere(text: str, zone: tzinfo | None) -> Iterator[_Found]:
    """Yield the times with a day in the text, except those in code."""
    for block in text_blocks(text):
        for row, cells in enumerate(block.rows):
            for part, line in enumerate(cells):
                with suppress(ValueProblem):
                    stamps = [stamp for stamp in find_stamps(line, zone) if stamp.day and stamp.clock]
                    if stamps:
                        yield _Found(stamps[:2], f"the text, line {block.line_of(row, part)}")


def _page_zones(text: str, near: tzinfo | None) -> Iterator[tuple[tzinfo, str]]:
    """Yield the zones that a page states for all its times, and where."""
    for number, line in enumerate(text.splitlines(), 1):
        for named in _ZONE_OF_PAGE.finditer(line[:_MAX_LINE]):
            with suppress(ValueError):
                yield zone_named(named["noted"] or named["said"], near), f"line {number}"


def _ends(
    start: datetime,
    begin: Stamp,
    found: Mapping[str, Sequence[Entry]],
    periods: Iterable[_Found],
    timeline: Sequence[_Found],
    zone: tzinfo | None,
) -> Iterator[tuple[datetime, str]]:
    """Yield the ends that are stated and are not before the start, the most reliable first."""
    zone = begin.zone or zone
    with suppress(ValueProblem):
        labels, _ = _labelled(found.get("resolved_at", ()), zone)
        over = [_Found(each.stamps[1:2], each.place) for each in periods if each.stamps[1:]]
        yield from _after(start, begin, [*labels, *over], zone)
    for entry in found.get("duration", ()):
        if length := parse_length(entry.text.partition("\n")[0]):
            yield start + length, str(entry)
    yield from _after(start, begin, timeline[:0:-1], zone)


def _after(
    start: datetime, begin: Stamp, ends: Iterable[_Found], zone: tzinfo | None
) -> Iterator[tuple[datetime, str]]:
    """Yield the ends that are not before the start; a time of day is on the day of the start, or the next."""
    for each in ends:
        end = each.stamps[0]
        with suppress(ValueProblem):
            moment = moment_of(Stamp(end.day or begin.day, end.clock, end.zone), zone)
            if moment < start and end.clock and begin.clock and end.day is None:
                moment += _DAY
            if moment >= start:
                yield moment, each.place
