"""Words of the calendar in each language, from dateparser's data, which comes from the Unicode CLDR."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from context_builder.question.language.atom import Kind
from context_builder.submodule import load_submodule

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
    "november", "december",
)  # fmt: skip
_UNITS = ("second", "minute", "hour", "day", "week", "month", "year")
_RELATIVE = {
    "0 day ago": (Kind.DAY, "today"),
    "1 day ago": (Kind.DAY, "yesterday"),
    "2 day ago": (Kind.DAY, "day before yesterday"),
    "3 day ago": (Kind.DAY, "3 days ago"),
    "2 week ago": (Kind.MOMENT, "2 weeks ago"),
    "in 1 day": (Kind.TOMORROW, "tomorrow"),
    "in 2 day": (Kind.DAY, "day after tomorrow"),
    "0 second ago": (Kind.DAY, "now"),
} | {
    f"{key} {unit}{ago}": (Kind.PERIOD, f"{word} {unit}")
    for key, ago, word in (("0", " ago", "this"), ("1", " ago", "last"), ("in 1", "", "next"))
    for unit in ("week", "month", "year")
}
_MAX_SHORT = 3
"""Letters of a word that may be an abbreviation, and so another word: `so`, `mar`, `sam`."""

Entry = tuple[str, Kind, str]
"""A phrase, its role, and its English."""


def is_spaced(language: str) -> bool:
    """Return whether a language puts spaces between words."""
    return not _data(language).get("no_word_spacing")


def calendar_words(language: str) -> Iterator[Entry]:
    """Yield the weekdays, months, units, relative days and number words of a language."""
    data = _data(language)
    yield from _names(language, _WEEKDAYS, Kind.WEEKDAY, Kind.WEEKDAY_SHORT)
    if is_spaced(language):  # elsewhere months are numbers, and units depend on what follows
        yield from _names(language, _MONTHS, Kind.MONTH, Kind.MONTH_SHORT)
        yield from _names(language, _UNITS, Kind.UNIT, Kind.UNIT_SHORT)
    for key, phrases in data["relative-type"].items():
        if key in _RELATIVE:
            yield from ((phrase, *_RELATIVE[key]) for phrase in phrases)
    numbers = {word: number for each in data["simplifications"] for word, number in each.items()}
    for word, number in numbers.items():
        if word.isalpha() and number.isdecimal():
            yield word, Kind.NUMBER, number


def _names(language: str, keys: Iterable[str], kind: Kind, short: Kind) -> Iterator[Entry]:
    for key in keys:
        for word in _data(language)[key]:
            if len(word) > 1:
                is_short = is_spaced(language) and len(word) <= _MAX_SHORT
                english = key if kind is Kind.UNIT else key.capitalize()
                yield word, short if is_short else kind, english


def _data(language: str) -> dict[str, Any]:
    # Without dateparser itself, which takes as long to import as all of ours.
    info: dict[str, Any] = load_submodule(f"dateparser.data.date_translation_data.{language}").info
    return info
