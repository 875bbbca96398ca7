"""Finds the two sides that a question compares. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice

from context_builder.question.meaning.intervals import clipped, hull, length_of
from context_builder.question.meaning.material import Material
from context_builder.question.meaning.operators import (
    Operator,
    OperatorKind,
    asks_to_choose,
    asks_to_rank,
    baseline_after,
    rest_after,
)
from context_builder.question.mention import NameMention, TextSpan, TimeMention
from context_builder.question.request import Interval, QuestionError
from context_builder.question.times.frame import step
from context_builder.question.times.reading import read_times

MAX_LENGTH_AROUND = timedelta(hours=24)
"""Length of either side of an event in "before and after the deploy", at most."""
_CONNECTOR = re.compile(r"(?<!\w)(?:to|with|and|or|from)(?!\w)", re.IGNORECASE)
_MAX_CONNECTORS = 12
_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)
_RELATIVE_SIDE = re.compile(
    r"[\s,]*(?P<side>(?:the )?same"
    r" (?:time|hours?|days?|months?|quarter|period|window|clock time|weekday|week)"
    r"(?: of| on| in)? (?P<back>yesterday|(?:the )?(?:day|week|month|year) before"
    r"|(?:the )?(?:last|previous|prior) (?:day|week|month|year)"
    r"|(?:a|one) (?:day|week|month|year) (?:ago|earlier|before))"
    r"|(?:the )?(?P<unit>hour|day|week|month|quarter|year) (?:before|earlier|prior)(?: that)?"
    r"|(?:the )?(?P<length>\w+ \w+) (?:before|prior to)(?:(?: that| those| it)|(?=\W*$))"
    r"|(?:the )?(?P<prior>last|previous)(?: one)?(?=\W*$))"
    r"(?![\w-])(?! (?:yesterday|that|\w+day\b))",
    re.IGNORECASE,
)
"""A side that is named by the other one."""
_RELATION_BEFORE = re.compile(r"\b(?:before|after|since) $", re.IGNORECASE)
_TURN = re.compile(
    r",? (?:than|vs\.?|versus|and|or|with|to|against|compared (?:to|with)) (?:(?:it|they) (?:was|were) )?"
    r"(?:before|after)(?: it| that| then)?(?!\w| \w+ (?:before|after))",
    re.IGNORECASE,
)
_ROOM = len("before ")
_ROLLING = re.compile(r"\d ?\w+$|(?:minute|hour|day|week)s$", re.IGNORECASE)
"""A time counted back from now: the previous 24 hours are those before the last."""
_UNITS = ("hour", "day", "week", "month", "quarter", "year")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedSides:
    """The sides: two times, two lists of names, or both."""

    times: tuple[TimeMention, ...] = ()
    names: tuple[tuple[NameMention, ...], ...] = ()
    has_rest: bool = False
    """True if the second side is everything but the names of the first."""
    spans: tuple[TextSpan, ...] = ()
    """The words that compare, and the places of both sides."""


@dataclass(frozen=True, slots=True)
class _Division:
    """A place at which the question may be divided in two."""

    between: TextSpan
    is_explicit: bool
    """True for `vs` and the like, and where comparing is announced."""


def find_comparison(
    material: Material, operators: Sequence[Operator], besides: Sequence[TextSpan]
) -> ComparedSides | None:
    """Return the sides that a question compares, besides parts of it that are already understood.

    Raises:
        QuestionError: It compares more than two things.
    """
    announced = tuple(o.span for o in operators if o.kind is OperatorKind.ANNOUNCES)
    around = next((o for o in operators if o.kind is OperatorKind.SPLITS), None)
    if around is not None and (sides := _around(material, around, besides)):
        return replace(sides, spans=(*sides.spans, *announced))
    if (sides := _turned(material, besides)) is not None:
        return sides
    for division in _divisions(material.text, operators, announced=bool(announced)):
        sides = _divided(material, division, besides)
        if sides is not None:
            _check_two(material, division, sides, operators)
            return replace(sides, spans=(*sides.spans, *announced)) if division.is_explicit else sides
    return None


def _divisions(text: str, operators: Sequence[Operator], *, announced: bool) -> Iterator[_Division]:
    """Yield the likeliest first: `vs`, then the `to` and `and` that an announcement gives a meaning."""
    for operator in operators:
        if operator.kind is OperatorKind.COMPARES and not baseline_after(text, operator.span.end):
            yield _Division(operator.span, is_explicit=True)
    connectors = [TextSpan(*match.span()) for match in islice(_CONNECTOR.finditer(text), _MAX_CONNECTORS)]
    words = {span: text[span.start : span.end].casefold() for span in connectors}
    if announced:
        for span in sorted(connectors, key=lambda span: words[span] in ("and", "or")):
            yield _Division(span, is_explicit=True)
    else:
        meaning = [word for word, asks in (("or", asks_to_rank), ("and", asks_to_choose)) if asks(text)]
        yield from (_Division(span, is_explicit=False) for span in connectors if words[span] in meaning)


def _divided(material: Material, division: _Division, besides: Sequence[TextSpan]) -> ComparedSides | None:
    start, end = division.between.start, division.between.end
    if any(span.start < end and start < span.end for span in besides):
        return None
    hidden = (*besides, division.between)
    left_times = material.times(0, start, besides=hidden).mentions
    left = left_times[-1] if left_times else None
    left_names, right_names = material.names_before(start), material.names_after(end)
    if left_names and (rest := _rest(material, division, left_names, right_names)):
        return ComparedSides(names=(left_names,), has_rest=True, spans=(*rest, *_places(left_names)))
    right_times = material.times(end, len(material.text), besides=hidden).mentions
    right = right_times[0] if right_times else None
    names = _pair_of_names(material, end, left_names, right_names)
    times: tuple[TimeMention, ...] = ()
    if names:
        times = (left, right) if left and right else ()
    elif (shifted := _shifted(material, end, left)) is not None and left is not None:
        times = left, shifted
    elif right is not None and material.is_gap(end, right.spans[0].start):
        is_or = material.text[start:end].casefold() == "or"
        if not division.is_explicit and (left is None or not is_or):
            # "Who was slower between 9 and 10" has one time.
            return None
        times = left or _present(right, material), right
    else:
        return None
    times = _told_apart(*_same_clock(*times)) if times else ()
    spans = (division.between, *_places(times), *(s for side in names for s in _places(side)))
    return ComparedSides(times=times, names=names, spans=spans)


def _rest(
    material: Material,
    division: _Division,
    left: tuple[NameMention, ...],
    right: tuple[NameMention, ...],
) -> tuple[TextSpan, ...]:
    """Return the places of the second side if it is the rest: `the others`, or the negated first."""
    others = rest_after(material.text, division.between.end)
    if others is not None and division.is_explicit:
        return division.between, others
    follows = bool(right) and material.is_gap(division.between.end, right[0].spans[0].start)
    if follows and right[0].is_negated and {n for m in left for n in m.names} == set(right[0].names):
        return division.between, *right[0].spans
    return ()


def _pair_of_names(
    material: Material, position: int, left: tuple[NameMention, ...], right: tuple[NameMention, ...]
) -> tuple[tuple[NameMention, ...], ...]:
    """Return the two lists if they are of one kind and the second begins right after the dividing word."""
    if not left or not right or left[0].kind is not right[0].kind:
        return ()
    if not material.is_gap(position, right[0].spans[0].start):
        return ()
    return () if {n for m in left for n in m.names} == {n for m in right for n in m.names} else (left, right)


def _shifted(material: Material, position: int, left: TimeMention | None) -> TimeMention | None:
    """Return the time that is named by the first side: `the week before`, `same hour yesterday`."""
    match = _RELATIVE_SIDE.match(material.text, position)
    if match is None or left is None:
        return None
    span = TextSpan(match.start("side"), match.end("side"))
    if match["length"]:
        length, until = _length(match["length"], material), left.intervals[0].start
        before = (Interval(until - length, until),) if length else ()
        return TimeMention(spans=(span,), intervals=before, label=match["side"]) if before else None
    words = (match["back"] or match["unit"] or left.label).casefold().split()
    if match["prior"]:
        named = read_times(f"last {words[-1]}", material.as_of).mentions if words[-1] in _UNITS else ()
        return replace(named[0], spans=(span,), label=f"last {words[-1]}") if named else None
    unit = "day" if "yesterday" in words else next(unit for unit in _UNITS if unit in words)
    # The same time of yesterday is as much of it as there is of today.
    intervals = clipped(left.intervals, material.as_of) if match["back"] else left.intervals
    return TimeMention(spans=(span,), intervals=_moved(intervals, unit), label=match["side"])


def _moved(intervals: Iterable[Interval], unit: str, length: timedelta = timedelta()) -> tuple[Interval, ...]:
    """Return intervals a calendar unit or a length before."""

    def back(moment: datetime) -> datetime:
        return step(unit, moment, -1) if unit else moment - length

    return tuple(Interval(back(i.start), back(i.end)) for i in intervals)


def _told_apart(*times: TimeMention) -> tuple[TimeMention, ...]:
    """Read "Tuesday against last Tuesday", "October against the previous month" as two."""
    left, right = times
    if left.intervals != right.intervals:
        return times
    earlier = right if right.label.casefold().startswith(("last ", "previous ")) else left
    if _ROLLING.search(earlier.label):
        changed = replace(earlier, intervals=_moved(earlier.intervals, "", length_of(earlier.intervals)))
    else:
        unit = next((unit for unit in _UNITS if earlier.label.casefold().endswith(f" {unit}")), "week")
        changed = replace(earlier, intervals=_moved(earlier.intervals, unit))
    return (left, changed) if earlier is right else (changed, right)


def _places(mentions: Sequence[NameMention | TimeMention]) -> Iterator[TextSpan]:
    return (span for mention in mentions for span in mention.spans)


def _present(past: TimeMention, material: Material) -> TimeMention:
    """Return the time up to now that a past one is compared with: as long, and after it."""
    as_of = material.as_of
    start = max(as_of - length_of(past.intervals), past.intervals[-1].end)
    return TimeMention(spans=(), intervals=(Interval(min(start, as_of - _MINUTE), as_of),), label="now")


def _same_clock(left: TimeMention, right: TimeMention) -> tuple[TimeMention, ...]:
    """Give a whole day the clock times of the other side: "9 to 10 today vs yesterday"."""
    one, other = hull(left.intervals), hull(right.intervals)
    midnight = one.start.replace(hour=0, minute=0, second=0, microsecond=0)
    is_part_of_day = one.end - one.start < _DAY and one.end <= midnight + _DAY and left.label != "now"
    is_whole_day = other.end - other.start == _DAY and other.start.time() == midnight.time()
    if not (is_part_of_day and is_whole_day and one.start > midnight):
        return left, right
    shift = other.start - midnight
    moved = tuple(Interval(i.start + shift, i.end + shift) for i in left.intervals)
    note = f"“{right.label}” is compared at the same time of day"
    return left, TimeMention(spans=right.spans, intervals=moved, label=right.label, note=note)


def _around(material: Material, split: Operator, besides: Sequence[TextSpan]) -> ComparedSides | None:
    """Return equal lengths on either side of what follows "before and after"."""
    place, text_end = split.span.end + 1, len(material.text)
    sides = [
        next(iter(material.times(place, text_end, besides=besides, after=word).mentions), None)
        for word in ("before", "after")
    ]
    before, after = sides
    if before is None or after is None or not material.is_gap(place, max(place, after.spans[0].start)):
        return None
    end, start = hull(before.intervals).end, hull(after.intervals).start
    length, words = _length_before(material, split.span.start)
    reach = max(min(length or MAX_LENGTH_AROUND, material.as_of - start), _MINUTE)
    intervals = Interval(end - reach, end), Interval(start, start + reach)
    times = tuple(
        replace(side, intervals=(each,), note=after.note)
        for side, each in zip((before, after), intervals, strict=True)
    )
    return ComparedSides(times=times, spans=(*words, split.span, *after.spans))


def _length_before(material: Material, position: int) -> tuple[timedelta | None, tuple[TextSpan, ...]]:
    """Return the length of either side and where it is named: "an hour before and after the deploy"."""
    words = material.text[: position - 1].split(" ")
    for count in (5, 4, 3, 2, 1):
        named = " ".join(words[-count:])
        if count <= len(words) and (length := _length(named, material)):
            return length, (TextSpan(position - 1 - len(named), position - 1),)
    return None, ()


def _length(words: str, material: Material) -> timedelta | None:
    """Return how long `30 min` or `a day and a half` is."""
    text = f"last {words}"
    (*_, only) = read_times(text, material.as_of).mentions or (None,)
    return length_of(only.intervals) if only and only.spans == (TextSpan(0, len(text)),) else None


def _announced(material: Material, start: int, besides: Sequence[TextSpan]) -> TextSpan | None:
    """Return where a comparison divides that begins right after its announcement, apart from another one."""
    for match in islice(_CONNECTOR.finditer(material.text, start), _MAX_CONNECTORS):
        between = TextSpan(*match.span())
        sides = _divided(material, _Division(between, is_explicit=True), besides)
        places = [] if sides is None else [span for span in sides.spans if span != between]
        is_apart = not any(span.start < b.end and b.start < span.end for span in places for b in besides)
        if len(places) > 1 and is_apart and material.is_gap(start, min(places).start):
            return between
    return None


def _turned(material: Material, besides: Sequence[TextSpan]) -> ComparedSides | None:
    """Read "slower after the rollout than before" as both sides of the event."""
    text = material.text
    for span in sorted(material.anchors or {}):
        relation = _RELATION_BEFORE.search(text, 0, span.start)
        turn = _TURN.match(text, span.end)
        if relation and turn and span.start > _ROOM:
            split = Operator(TextSpan(relation.start(), span.start - 1), OperatorKind.SPLITS)
            sides = _around(material, split, besides)
            return sides and replace(sides, spans=(*sides.spans, TextSpan(*turn.span())))
    return None


def _check_two(
    material: Material, division: _Division, sides: ComparedSides, operators: Sequence[Operator]
) -> None:
    """Refuse a third side: another `vs` after the second, or a list where comparing is announced."""
    end = max(span.end for span in sides.spans)
    third = [o.span for o in operators if o.kind is OperatorKind.COMPARES and o.span.start >= end]
    others = (o.span.end for o in operators if o.kind is OperatorKind.ANNOUNCES)
    third += [span for start in others if (span := _announced(material, start, sides.spans)) is not None]
    is_list = material.text[division.between.start : division.between.end].casefold() in ("and", "or")
    before = material.times(0, division.between.start).mentions[-2:] if sides.times else ()
    are_listed = len(before) > 1 and material.is_link(before[0].spans[-1].end, before[1].spans[0].start)
    is_long_list = is_list and (are_listed or any(len(names) > 1 for names in sides.names))
    if is_long_list or any(_divided(material, _Division(o, is_explicit=True), ()) for o in third):
        start = min(span.start for span in (*sides.spans, *(s for time in before for s in time.spans)))
        raise QuestionError(
            f"the question compares more than two things, “{material.text[start:end]}”; two names or two "
            "times are accepted, for example: premium vs standard, or this week vs last week"
        )
