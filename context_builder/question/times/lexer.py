"""Splits a text into atoms: numbers, dates, clock times and words that have to do with time, and others."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from context_builder.question.mention import TextSpan
from context_builder.question.request import Interval
from context_builder.question.times.atom import NOWHERE, Atom, Clock
from context_builder.question.times.durations import duration
from context_builder.question.times.frame import DAY
from context_builder.question.times.periods import dated, named, no_time
from context_builder.question.times.vocabulary import UNIT_LENGTHS, VOCABULARY
from context_builder.question.times.zones import Zone, find_zone, zone_at_offset, zone_of_place

MASK = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Stands in a text, once for each character, where a name or an operator stood."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """An event of the gateway that a question takes as a time: `the last deploy`, `inc_0117`."""

    interval: Interval
    """In UTC; starts and ends at once if the event is a point in time."""
    label: str
    is_chosen: bool = False
    """True if it is a time also where no word such as `during` stands before it."""


_LEXEMES = {
    "offset": (
        r"(?<=[\dmM])\ ?[+-]\d{2}(?::?\d{2})?(?![\w:])"
        r"|(?:UTC|utc|GMT|gmt)[+-]\d{1,2}(?::?\d{2})?(?!\w)"
    ),
    "space": r"\s+",
    "masked": MASK + "+",
    "date": (
        r"(\d{4})(?:-(\d{2})-|/(\d{2})/)(\d{2})"
        r"(?:[Tt](?=\d{1,2}:)|(?!\w|/\w(?!\d{3}-)|-(?!\d{4}-)\w))"
    ),
    "week": r"(?:CW|cw|KW|kw|W)[ -]?(\d{1,2})(?!\w)",
    "yearmonth": r"(\d{4})-(\d{2})(?![\w-])|(\d{1,2})/(\d{4})(?![\w/])",
    "dmy": r"(\d{1,2})(?:/(\d{1,2})/(\d{4}|\d{2})|\.(\d{1,2})\.(\d{4}))(?!\w|[./]\w)",
    "clock": (
        r"(\d{1,2})(?::(\d{2})(?::(\d{2})(?:[.,]\d{1,9})?)?)?\ ?(?:([aApP])\.?[mM]\b\.?(?!\w)|o['’]clock\b)"
        r"|(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d{1,9})?)?(?:\ ?h(?:rs)?\b)?(?![\d:])"
    ),
    "zulu": r"(?<=\d)[Zz](?!\w)",
    "quarter": r"[qQ]([1-4])(?!\w)",
    "half": r"H([12])(?!\w)",
    "hourminute": r"(\d{1,4})h(\d{1,2})(?:m(?:ins?)?)?(?!\w)",
    "length": (
        r"(\d{1,15}(?:\.\d{1,4})?)\ ?(s|secs?|m|mins?|[hH]|hrs?|[dD]|[wW]|wks?|mos?|y|yrs?)"
        r"(?:(?!\w)|(?=\d+[a-z]))"
    ),
    "ordinalday": r"(\d{1,2})(?:st|nd|rd|th)(?!\w)",
    "fraction": r"(\d{1,2})/(\d{1,2})(?![\w/])",
    "epoch": r"(?:\d{13}|\d{10})(?![\w%]|[.,:/]\d)",
    "number": r"\d{1,15}(?:\.\d{1,4})?(?!(?![Zz]\b)\w|%|[.,:/]\d)",
    "junk": r"\d[\w.,:/%+-]*|[$€£#@~]\w[\w.,]*",
    "possessive": r"['’]s(?!\w)",
    "word": r"[^\W\d]\w*(?:[-/_&+]\w+|\.\d\w*)*",
    "mark": r"\.\.(?!\.)|.",
}
_LEXEME = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _LEXEMES.items()), re.DOTALL)
_PARTS = {name: re.compile(pattern) for name, pattern in _LEXEMES.items()}
_SPACE_OR_MARK = re.compile(r"(?P<space>\s)|(?P<mark>.)")
_MARKS = {
    ",": "comma",
    ".": "dot",
    "..": "dash",
    "-": "dash",
    "–": "dash",
    "—": "dash",
    "→": "dash",
    "/": "slash",
}
_YEARS = frozenset(map(str, range(1990, 2101)))
_MAX_MONTH = 12
_NOON = 12
_SIXTY = 60
_ABBREVIATED = {
    "s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "wk": "week", "wks": "week",
    "mo": "month", "mos": "month", "y": "year", "yr": "year", "yrs": "year",
}  # fmt: skip
_ZONE_LIKE = re.compile(r"[A-Z][a-z]{2,12}/[A-Z]\w{2,20}")
_PLACE_WORDS = (3, 2, 1)


def atoms_of(text: str, anchors: Mapping[TextSpan, Anchor]) -> list[Atom]:
    """Return the atoms of a text, in order."""
    by_start = {span.start: (span, anchor) for span, anchor in anchors.items()}
    atoms: list[Atom] = []
    place = 0
    while place < len(text):
        span, anchor = by_start.get(place, (None, None))
        if span and anchor and span.end > place:
            atoms.append(_anchor(span, anchor))
            place = span.end
            continue
        match = _lexeme(text, place, atoms)
        end = match.end()
        if match.lastgroup == "masked":
            end = next((at for at in range(place + 1, end) if at in by_start), end)
        here = TextSpan(place, end)
        # Not before it is read, since reading may take the last atoms back.
        read = list(_read(match, atoms))
        atoms += [replace(atom, span=here if atom.span == NOWHERE else atom.span) for atom in read]
        place = end
    return atoms


def _anchor(span: TextSpan, anchor: Anchor) -> Atom:
    word = "chosen" if anchor.is_chosen else ""
    return Atom("anchor", span, word, when=lambda _frame: (anchor.interval,))


def _lexeme(text: str, place: int, atoms: list[Atom]) -> re.Match[str]:
    match = _LEXEME.match(text, place)
    if match and match["offset"] and not _is_offset(match["offset"], atoms):
        match = _SPACE_OR_MARK.match(text, place)
    assert match is not None  # noqa: S101  any character is a mark
    return match


def _is_offset(text: str, atoms: list[Atom]) -> bool:
    """Tell a zone's offset, as in 22:30:00-08:00, from the second time of 09:00-10:00."""
    clock = atoms[-1].clock if atoms else None
    if text[0] not in " +-":
        return True
    if clock is None or "+" in text or int(text.strip()[1:3]) > _NOON:
        return clock is not None and "+" in text
    after_date = len(atoms) > 1 and atoms[-2].kind == "day"
    if text[0] == " ":
        return ":" not in text or after_date
    if clock.half or atoms[-1].number or (after_date and atoms[-2].word == "T"):
        return not clock.half
    other = Clock(int(text[1:3]), timedelta(minutes=int(text[-2:])))
    return after_date and ":" in text and (other.hour, other.past) <= (clock.hour, clock.past)


def _offset(text: str, atoms: list[Atom]) -> Zone:
    zone = zone_at_offset(text)
    if text[0] == "-" and not atoms[-1].number and atoms[-2].word != "T":
        return replace(zone, note=f"{text} is read as the offset of a time zone, not as the end of a range")
    return zone


def _read(match: re.Match[str], atoms: list[Atom]) -> Iterator[Atom]:
    """Yield the atoms of a lexeme, without their place unless they share it."""
    kind, text = str(match.lastgroup), match.group()
    if kind == "word":
        yield from _word(match, atoms)
    elif kind in ("masked", "junk"):
        yield Atom("mask" if kind == "masked" else "word")
    elif kind == "mark":
        yield Atom(_MARKS.get(text, "mark"))
    elif kind in ("offset", "zulu"):
        yield Atom("zone", zone=_offset(text, atoms) if kind == "offset" else find_zone("UTC"))
    elif kind == "number":
        yield Atom("year" if text in _YEARS else "number", number=float(text))
    elif kind != "space":
        parts = _PARTS[kind].match(match.string, match.start())
        yield _NUMERIC[kind](text, [part for part in parts.groups() if part] if parts else [])


def _word(match: re.Match[str], atoms: list[Atom]) -> Iterator[Atom]:
    written, start = match.group(), match.start()
    parts = written.split("-")
    zone = find_zone(written)
    after_time = bool(atoms) and atoms[-1].kind in ("clock", "number", "year")
    if written.casefold() in VOCABULARY:
        atom = _plain(written)
        yield from _of_time(atom, atoms, match) if atom.kind == "time" else (atom,)
    elif zone and (after_time or "/" in written or written.isupper()):
        yield Atom("zone", zone=zone)
    elif after_time and _ZONE_LIKE.fullmatch(written):
        yield Atom("zone", zone=Zone(written, None))
    elif len(parts) > 1 and all(part.casefold() in VOCABULARY or part.isdecimal() for part in parts):
        for number, part in enumerate(parts):
            if number:
                yield Atom("dash", TextSpan(start - 1, start))
            yield replace(_plain(part), span=TextSpan(start, start + len(part)))
            start += len(part) + 1
    else:
        yield Atom("word")


def _plain(word: str) -> Atom:
    if word.isdecimal():
        return Atom("year" if word in _YEARS else "number", number=float(word[:9]))
    kind, basic, number = VOCABULARY[word.casefold()]
    if word == "May":
        kind = "shortmonth"
    clock = Clock(_NOON, half=basic) if kind == "clock" else None
    return Atom(kind, word=basic, number=number, length=UNIT_LENGTHS.get(basic, timedelta(0)), clock=clock)


def _of_time(time: Atom, atoms: list[Atom], match: re.Match[str]) -> Iterator[Atom]:
    """Replace the words of a place before the word `time` by its zone."""
    for count in _PLACE_WORDS:
        if count <= len(atoms):
            start = atoms[-count].span.start
            zone = zone_of_place(match.string[start : atoms[-1].span.end])
            if zone:
                del atoms[-count:]
                yield Atom("zone", TextSpan(start, match.end()), zone=zone)
                return
    yield time


def _day_and_month(text: str, parts: list[str]) -> Atom:
    """Read 12/11/2026, unless it may start with the day or the month; with dots the day comes first."""
    first, second, year = (int(part) for part in parts)
    year += 2000 if year < 100 else 0  # noqa: PLR2004  two digits
    if "." in text or first > _MAX_MONTH:
        return dated(year, second, first)
    if second > _MAX_MONTH:
        return dated(year, first, second)
    either = f"{year}-{second:02}-{first:02} or {year}-{first:02}-{second:02}"
    return no_time(f"{text} may be day or month first; write {either}")


def _month_of_year(_text: str, parts: list[str]) -> Atom:
    year, month = sorted((int(part) for part in parts), reverse=True)
    return named("month", month, year)


def _clock(text: str, parts: list[str]) -> Atom:
    """Read a clock time; its `number` says whether it has seconds."""
    half = parts.pop().lower() if parts[-1].isalpha() else ""
    hour, minute, second = (*map(int, parts), 0, 0)[:3]
    past = timedelta(minutes=minute, seconds=second) if max(minute, second) < _SIXTY else -DAY
    clock = Clock(hour, past, half, may_share=not half and text[0] != "0")
    return Atom("clock", clock=clock, number=len(parts) > 2)  # noqa: PLR2004  hour, minute and second


def _length(_text: str, parts: list[str]) -> Atom:
    unit = VOCABULARY.get(parts[1].casefold(), ("", _ABBREVIATED.get(parts[1].casefold(), ""), 0))[1]
    return duration(float(parts[0]), unit)


def _hours_and_minutes(_text: str, parts: list[str]) -> Atom:
    return Atom("duration", length=timedelta(hours=int(parts[0]), minutes=int(parts[1])))


def _date(text: str, parts: list[str]) -> Atom:
    return replace(dated(int(parts[0]), int(parts[1]), int(parts[2])), word=text[10:].upper())


def _numbered(kind: str, word: str = "") -> Callable[[str, list[str]], Atom]:
    return lambda text, parts: Atom(kind, word=word, number=float(parts[0] if parts else text))


_NUMERIC: dict[str, Callable[[str, list[str]], Atom]] = {
    "date": _date,
    "yearmonth": _month_of_year,
    "dmy": _day_and_month,
    "clock": _clock,
    "week": _numbered("named", "week"),
    "quarter": _numbered("named", "quarter"),
    "half": _numbered("named", "half"),
    "hourminute": _hours_and_minutes,
    "length": _length,
    "ordinalday": _numbered("ordinalday"),
    "epoch": _numbered("epoch"),
    "fraction": lambda text, _parts: Atom("fraction", word=text),
    "possessive": lambda _text, _parts: Atom("possessive"),
}
