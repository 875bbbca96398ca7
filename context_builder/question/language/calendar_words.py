"""Words of the calendar in each language, from dateparser's data, which comes from the Unicode CLDR."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from context_builder.question.language.atom import Kind

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
    data, spaced = _data(language), is_spaced(language)
    for names, kind, short in (
        (_MONTHS if spaced else (), Kind.MONTH, Kind.MONTH_SHORT),
        (_WEEKDAYS, Kind.WEEKDAY, Kind.WEEKDAY_SHORT),
    ):
        for name in names:
            for word in data[name]:
                if spaced or len(word) > 1:
                    yield word, short if spaced and len(word) <= _MAX_SHORT else kind, name.capitalize()
    for name in _UNITS:
        for word in data[name]:
            if spaced and len(word) > 1:
                yield word, Kind.UNIT_SHORT if len(word) <= _MAX_SHORT else Kind.UNIT, name
    for key, phrases in data["relative-type"].items():
        if key in _RELATIVE:
            yield from ((phrase, *_RELATIVE[key]) for phrase in phrases)
    for replacement in data["simplifications"]:
        for word, number in replacement.items():
            if re.fullmatch(r"[^\W\d_]+", word) and number.isdecimal():
                yield word, Kind.NUMBER, number


def _data(language: str) -> dict[str, Any]:
    info: dict[str, Any] = import_module(f"dateparser.data.date_translation_data.{language}").info
    return info
