"""Finds the numbers, times and names in a text. Pure.

Number words such as "two" or "twice" and signs are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    "Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sep(?:t(?:ember)?)?"
    "|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?"
)
_SHORT_MONTH = "(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)"
_UNITS = {
    "%": r"%|percent|per\ cent|percentage\ points?|pp",
    "ms": r"ms|msecs?|milliseconds?",
    "s": r"s|secs?|seconds?",
    "min": r"m|mins?|minutes?",
    "h": r"h|hrs?|hours?",
    "d": r"d|days?",
    "times": r"x|×|times",
    "$": r"usd|dollars?",
}
_UNIT = "|".join(f"(?:{words})" for words in _UNITS.values())
_MILLISECONDS = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}

_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?"
_NUMBER = r"\d{1,3}(?:[,\u00a0\u202f\u2009]\d{3}){1,6}+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?"
# Every repetition is possessive or bounded, so that checking takes time linear in the length of an answer.
_TOKEN = re.compile(
    rf"""
    (?P<date>\d{{4}}-\d{{2}}-\d{{2}}) (?:[T\ ](?P<time>{_CLOCK}))? (?:Z|\ ?UTC)? (?!\w)
  | (?P<clock>{_CLOCK}) (?:Z|\ ?UTC)? (?!\w|:\d)
  | (?:(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\ (?P<month>{_MONTH})
      |(?P<month_first>{_MONTH}|{_SHORT_MONTH}\.)\ (?P<day_last>\d{{1,2}})(?:st|nd|rd|th)?(?![\d:.,]\d))
    (?:,?\ (?P<year>\d{{4}}))? (?!\w)
  | (?P<version>\d{{1,9}}(?:\.\d{{1,9}}){{2,8}}) (?!\w)
  | (?P<spans>(?:\d{{1,9}}(?:ms|min|[dhms])){{2,5}}) (?!\w)
  | (?P<currency>[$€£]\ ?)? (?P<number>{_NUMBER})
    (?:[\ \u00a0\u202f-]?(?P<unit>(?i:{_UNIT})) (?!\w) | (?P<percent>[\ \u00a0\u202f]?%) | (?!\w))
  | (?P<name>\w[\w./:@+\#-]*+)
    """,
    re.VERBOSE | re.ASCII,  # a number may be adjacent to other scripts
)
_WORD_BEFORE = re.compile(r"([A-Za-z]+) $")
_SPAN = re.compile(r"(\d+)(ms|min|[dhms])")

_MARKUP_INSIDE = re.compile(r"(?<=\w)[*`~]++(?=\w)")
_MARKUP = re.compile(r"[*`~]+|(?<![^\W_])_+|_+(?![^\W_])")
_ESCAPE = re.compile(r"\\(?=[!-/:-@\[-`{-~])")
_LOOKALIKES = str.maketrans("\u2010\u2011\u2212", "---")

_MEASURE = re.compile(
    r"p\d{2}(?:\.\d+)?s?|[1-5]xxs?|\d+(?:st|nd|rd|th)|https?/\d(?:\.\d)?|ipv[46]|utf-?8|sha-?\d+|[pq]\d"
    r"|(?:top|tier|level|step|phase|day|week|part|sev|option|priority)-?\d+",
    re.IGNORECASE,
)
"""Technical terms that are not names."""
_AFFIXES = re.compile(
    r"^(?:non|pre|post|mid)-|-(?:based|hosted|only|related|specific|backed|like|style|side|wide)$"
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number, with its unit if there is one."""

    written: str
    value: Decimal
    unit: str = ""
    label: str = ""
    """The preceding word in lower case: `version` in "version 2.4"."""

    @property
    def milliseconds(self) -> Decimal | None:
        """The duration; None for any other quantity."""
        return self.value * _MILLISECONDS[self.unit] if self.unit in _MILLISECONDS else None

    def is_rounded(self, duration_ms: Decimal) -> bool:
        """Return True if this is the duration, rounded in this unit to two digits or more."""
        digits = self.value.as_tuple()
        if self.unit not in _MILLISECONDS or (self.milliseconds != duration_ms and len(digits.digits) == 1):
            return False
        half = Decimal(1).scaleb(int(digits.exponent)) / 2
        return abs(duration_ms / _MILLISECONDS[self.unit] - self.value) <= half


@dataclass(frozen=True, slots=True)
class TimeClaim:
    """A date, a time of day or both, with the parts that are written."""

    written: str
    year: str | None = None
    day: tuple[int, int] | None = None
    """Month and day."""
    clock: tuple[int, ...] = ()
    """Hour, minute and, if written, second."""


@dataclass(frozen=True, slots=True)
class Name:
    """A word spelled like a name: with letters and digits, underscores or slashes."""

    written: str

    @property
    def casefolded(self) -> str:
        """The name in the case used for comparison."""
        return self.written.casefold()

    @property
    def is_pair_of_words(self) -> bool:
        """True for `claude/aws`, which may be a name, but also for `and/or`."""
        return "/" in self.written and self.written.replace("/", "").isalpha()

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts between slashes."""
        return tuple(part for part in self.casefolded.split("/") if part)


Claim = Quantity | TimeClaim | Name


def find_claims(text: str) -> Iterator[Claim]:
    """Yield the claims of a text in order, ignoring Markdown emphasis and code marks."""
    plain = _MARKUP.sub("", _MARKUP_INSIDE.sub(" ", _ESCAPE.sub("", text))).translate(_LOOKALIKES)
    for token in _TOKEN.finditer(plain):
        if token["number"]:
            before = _WORD_BEFORE.search(plain[max(0, token.start() - 20) : token.start()])
            yield _quantity(token, before.group(1).casefold() if before else "")
        elif token["name"] or token["version"]:
            yield from _name(token.group().rstrip("./:@+#-"))
        elif token["spans"]:
            yield from (Quantity(s, Decimal(n), _unit(u)) for s, n, u in _durations(token["spans"]))
        else:
            yield _time(token)


def _quantity(token: re.Match[str], label: str) -> Quantity:
    digits = re.sub(r"[^\d.]", "", token["number"])
    unit = "%" if token["percent"] else "$" if token["currency"] else _unit(token["unit"] or "")
    return Quantity(token["number"], Decimal(digits), unit, label)


def _unit(word: str) -> str:
    folded = word.casefold()
    return next((unit for unit, words in _UNITS.items() if word and re.fullmatch(words, folded)), "")


def _durations(text: str) -> Iterator[tuple[str, str, str]]:
    """Split `10h51m` into its two durations."""
    return ((span.group(), span.group(1), span.group(2)) for span in _SPAN.finditer(text))


def _time(token: re.Match[str]) -> TimeClaim:
    written = token.group().strip()
    clock = tuple(int(part) for part in re.split(r"[:.]", token["time"] or token["clock"] or "")[:3] if part)
    if token["date"]:
        year, month, day = token["date"].split("-")
        return TimeClaim(written, year, (int(month), int(day)), clock)
    if token["clock"]:
        return TimeClaim(written, clock=clock)
    month_name = token["month"] or token["month_first"]
    day_of_month = int(token["day"] or token["day_last"])
    return TimeClaim(written, token["year"], (_MONTHS.index(month_name[:3].casefold()) + 1, day_of_month))


@lru_cache(maxsize=4096)  # the words of facts repeat
def _name(word: str) -> tuple[Claim, ...]:
    """Return the word if it is a name, else the numbers in it, nothing for an ordinary word."""
    bare = _AFFIXES.sub("", word)
    parts = [part for part in bare.split("/") if part]
    is_pair = len(parts) > 1 and all(part.isalpha() for part in parts)
    if "://" in bare or bare.startswith("www.") or is_pair or any(_is_name(part) for part in parts):
        return (Name(bare),)
    if _MEASURE.fullmatch(bare):
        return ()
    return tuple(Quantity(part, Decimal(part)) for part in parts if part.isdecimal())


def _is_name(word: str) -> bool:
    if _MEASURE.fullmatch(word):
        return False
    has_digit = any(character.isdigit() for character in word)
    has_letter = any(character.isalpha() for character in word)
    return (has_digit and (has_letter or word.count(".") > 1)) or (has_letter and "_" in word.strip("_"))
