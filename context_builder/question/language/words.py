"""Splits a question into atoms: phrases of a lexicon, numbers, dates, names and the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from context_builder.question.language.atom import Atom, Kind, Piece
from context_builder.question.language.dates import MONTHS, day_of_month
from context_builder.question.language.lexicon import FoldedText, Lexicon, Meaning

_JOINED = r"[-./:@+#]+"
_SPACED_TOKEN = re.compile(rf"\w+(?:{_JOINED}\w+|(?<=\d),\d+)*'?")
_LATIN = r"[A-Za-z0-9_\u00c0-\u024f]+"
_LATIN_TOKEN = re.compile(rf"{_LATIN}(?:{_JOINED}{_LATIN}|(?<=\d),\d+)*")
"""Between characters written without spaces, names are of Latin letters."""
_ZONES = frozenset({"CET", "EST"})
"""Time zones that are also words: `cet`, `est`."""

_ISO = re.compile(r"\d{4}-\d{2}-\d{2}(?:[tT]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:[zZ]|[+-]\d{2}:?\d{2})?)?")
_DAY_FIRST = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d{2})")
_YEAR_FIRST = re.compile(r"(\d{4})([./])(\d{1,2})\2(\d{1,2})")
_DAY_MONTH = re.compile(r"(\d{1,2})([./])(\d{1,2})\.?")
_CLOCK = re.compile(r"\d{1,2}:\d{2}(?::\d{2})?")
_NUMBER = re.compile(r"\d{1,4}(?:[.,]\d{1,2})?")
_END = r"(\d{1,2}(?:[hH:]\d{0,2}|[./]\d{1,2}\.?)?)"
_RANGE = re.compile(rf"{_END}-{_END}")
_ORDINAL = re.compile(r"(\d{1,2})(?:er|[eè]?re|e|[eè]me|[oa])")
_NUMBERED_WEEK = re.compile(r"(kw)(\d{1,2})")
_WITH_UNIT = re.compile(r"(\d{1,4})([^\W\d_]+)(\d{2})?")
_YEARS = range(1970, 2100)
_CENTURY = 2000
_DIGITS = {digit: number for number, digit in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0}
_NUMERALS = re.compile(rf"[{''.join(_DIGITS)}]?十[{''.join(_DIGITS)}]?|[{''.join(_DIGITS)}]")
_TEN = 10
_MARKS = {".": Kind.DOT, ",": Kind.COMMA, "、": Kind.COMMA} | dict.fromkeys("-–~〜", Kind.DASH) | {
    "(": Kind.OPEN, ")": Kind.CLOSE,
}  # fmt: skip
_PIECE = re.compile(r"[^-/]+|[-/]")
_COMPOUND = frozenset(
    {
        Kind.WORD,
        Kind.NOT,
        Kind.TIER,
        Kind.TIER_NOUN,
        Kind.EVENT,
        Kind.WEEKDAY,
        Kind.PART,
        Kind.BEFORE,
        Kind.BEFORE_OR_AGO,
        Kind.AFTER,
        Kind.MAYBE_AFTER,
    }
)
"""Roles of the parts of a compound word such as `Premium-Nutzer`; other joined words are names."""
_FIRST = frozenset({Kind.WEEKDAY, Kind.MONTH, Kind.UNIT})
_LAST = frozenset({Kind.PART, Kind.TOMORROW, Kind.EDGE, Kind.DAY})
_MIN_JOINED = 4
"""Letters of either word of time that are written as one."""


def atoms_of(text: str, lexicon: Lexicon) -> list[Atom]:
    """Return the atoms of a folded text, in order, in time linear in its length."""
    atoms: list[Atom] = []
    for atom in _Reader(lexicon.fold(text), lexicon).atoms():
        last = atoms[-1] if atoms else None
        if last and last.kind is atom.kind is Kind.UNKNOWN and not (atom.is_spaced or atom.text.isascii()):
            # A run of unknown characters is one word.
            run = Piece(text[last.start : atom.end], last.start, atom.end, is_as_asked=True)
            atoms[-1] = Atom(atom.kind, (run,), last.is_spaced)
        else:
            atoms.append(atom)
    return atoms


_Read = Iterator[tuple[Kind, str, int, int]]
"""Kind, English, start and end of atoms."""


@dataclass(slots=True)
class _Reader:
    text: FoldedText
    lexicon: Lexicon

    def atoms(self) -> Iterator[Atom]:
        folded = self.text.folded
        token = _SPACED_TOKEN if self.lexicon.is_spaced else _LATIN_TOKEN
        tokens = {match.start(): match.end() for match in token.finditer(folded)}
        ends = set(tokens.values()) | {end - 1 for end in tokens.values() if folded[end - 1] == "'"}
        if not self.lexicon.is_spaced:
            inside = {at for start, end in tokens.items() for at in range(start + 1, end)}
            ends = set(range(1, len(folded) + 1)) - inside
        at = 0
        while at < len(folded):
            is_spaced = folded[at] == " "
            at += is_spaced
            if at == len(folded):
                break
            for kind, english, start, end in self._read(at, tokens, ends):
                piece = Piece(english, start, end, english == self.text.asked[start:end])
                yield Atom(kind, (piece,), is_spaced)
                at, is_spaced = end, False

    def _read(self, at: int, tokens: dict[int, int], ends: set[int]) -> _Read:
        """Yield the atoms from a position on: one, or those of a token."""
        text = self.text
        found = self.lexicon.longest(text, at, ends)
        if found and text.asked[at : found[0]] not in _ZONES:
            yield found[1].kind, found[1].english, at, found[0]
        elif at in tokens:
            yield from self._token(at, tokens[at] - (text.folded[tokens[at] - 1] == "'"))
        elif not self.lexicon.is_spaced and (numeral := _NUMERALS.match(text.folded, at)):
            yield Kind.NUMBER, _numeral(numeral.group()), at, numeral.end()
        else:
            other = Kind.UNKNOWN if text.folded[at].isalnum() else Kind.PUNCTUATION
            yield _MARKS.get(text.folded[at], other), text.asked[at], at, at + 1

    def _token(self, start: int, end: int) -> _Read:
        token, asked = self.text.folded[start:end], self.text.asked[start:end]
        parts = _RANGE.fullmatch(token) or _WITH_UNIT.fullmatch(token)
        if iso := _date(token, day_first=self.lexicon.is_spaced):
            yield Kind.DAY, asked if _ISO.fullmatch(token) else iso, start, end
        elif found := self._day_of_month(token, end):
            yield found[0], found[1], start, found[2]
        elif _CLOCK.fullmatch(token):
            yield Kind.CLOCK, asked, start, end
        elif _NUMBER.fullmatch(token):
            is_year = token.isdecimal() and int(token) in _YEARS
            yield Kind.YEAR_NUMBER if is_year else Kind.NUMBER, asked, start, end
        elif (numbered := _NUMBERED_WEEK.fullmatch(token)) and self.lexicon.is_spaced:
            yield Kind.UNIT, "week", start, start + numbered.end(1)
            yield Kind.NUMBER, numbered[2], start + numbered.start(2), end
        elif (ordinal := _ORDINAL.fullmatch(token)) and self.lexicon.is_spaced:
            yield Kind.NUMBER, ordinal[1], start, end
        elif parts and parts.re is _RANGE:
            yield from self._token(start, start + parts.end(1))
            yield Kind.DASH, "-", start + parts.end(1), start + parts.start(2)
            yield from self._token(start + parts.start(2), end)
        elif parts and (unit := self._meaning(start + parts.start(2), start + parts.end(2))):
            yield Kind.NUMBER, parts[1], start, start + parts.end(1)
            yield unit.kind, unit.english, start + parts.start(2), start + parts.end(2)
            if parts[3]:
                yield Kind.NUMBER, parts[3], start + parts.start(3), end
        else:
            yield from self._compound(start, end)

    def _day_of_month(self, token: str, end: int) -> tuple[Kind, str, int] | None:
        """Return a day and a month in numbers, as a date if it can hardly be anything else, and its end."""
        match = _DAY_MONTH.fullmatch(token)
        if match is None:
            return None
        is_dot_next = match[2] == "." and self.text.folded[end : end + 1] == "."
        if match[2] == "." and not (self.lexicon.is_spaced and (is_dot_next or token.endswith("."))):
            return None  # a number or a clock time
        day, month = (match[1], match[3]) if self.lexicon.is_spaced else (match[3], match[1])
        named = day_of_month(month, day)
        kind = Kind.DAY if int(day) > len(MONTHS) else Kind.DAY_MONTH
        return (kind, named, end + is_dot_next) if named else None

    def _compound(self, start: int, end: int) -> _Read:
        """Yield the parts of a word joined by hyphens or slashes that are all known, else one name."""
        pieces = [m.span() for m in _PIECE.finditer(self.text.folded, start, end)]
        meanings = [self._meaning(first, last) for first, last in pieces]
        if len(pieces) > 1 and all(known and known.kind in _COMPOUND for known in meanings[::2]):
            for (first, last), known in zip(pieces, meanings, strict=True):
                joiner = self.text.asked[first:last]
                other = (Kind.DASH if joiner == "-" else Kind.PUNCTUATION), joiner
                kind, english = (known.kind, known.english) if known else other
                yield kind, english, first, last
        else:
            asked = self.text.asked[start:end]
            is_name = asked.isascii() and not (self.lexicon.is_spaced and asked.isalpha())
            parts = None if is_name else self._joined_words(start, end)
            yield from parts or ((Kind.NAME if is_name else Kind.UNKNOWN, asked, start, end),)

    def _joined_words(self, start: int, end: int) -> tuple[tuple[Kind, str, int, int], ...] | None:
        """Return the two words of time that are written as one: `Freitagmittag`, `Novemberhälfte`."""
        for middle in range(start + _MIN_JOINED, end - _MIN_JOINED + 1) if self.lexicon.is_spaced else ():
            first, last = self._meaning(start, middle), self._meaning(middle, end)
            if first and last and first.kind in _FIRST and last.kind in _LAST:
                return (first.kind, first.english, start, middle), (last.kind, last.english, middle, end)
        return None

    def _meaning(self, start: int, end: int) -> Meaning | None:
        return self.lexicon.meaning(self.text.folded[start:end], self.text.plain[start:end])


def _date(token: str, *, day_first: bool) -> str | None:
    """Return a date in ISO form; the order of day and month is that of the language."""
    if _ISO.fullmatch(token):
        return token
    try:
        if match := _DAY_FIRST.fullmatch(token) if day_first else None:
            year = int(match[4]) + (_CENTURY if len(match[4]) < len("2000") else 0)
            return date(year, int(match[3]), int(match[1])).isoformat()
        if match := _YEAR_FIRST.fullmatch(token):
            return date(int(match[1]), int(match[3]), int(match[4])).isoformat()
    except ValueError:
        pass  # not a date, but a version or another number
    return None


def _numeral(written: str) -> str:
    """Return a number up to 99 in digits: `二十四` is 24."""
    if "十" not in written:
        return str(_DIGITS[written])
    tens, ones = written.split("十")
    return str(_TEN * _DIGITS.get(tens, 1) + _DIGITS.get(ones, 0))
