"""Time zones as other languages name them, which follow a time in English: `Paris time`."""

from __future__ import annotations

import re

from context_builder.question.language.atom import Kind
from context_builder.question.language.lexicon import without_accents
from context_builder.question.language.roles import phrase
from context_builder.question.times.zones import find_zone, zone_of_place

_NOUNS = ("hour", "time")
_OFFSET = re.compile(r"(?:UTC|GMT)[+-]\d{1,2}(?::?\d{2})?")
_GERMAN_ADJECTIVE = "er"


def _zone(place: str, noun: str) -> str | None:
    """Return the zone of a place, as `Paris` or `Pariser`, beside a word for time."""
    plain = without_accents(place)
    names = [name for name in (plain, plain.removesuffix(_GERMAN_ADJECTIVE)) if zone_of_place(name)]
    if noun not in _NOUNS:
        return None
    return _abbreviation(place) or (f"{names[0].title()} time" if names else None)


def _abbreviation(name: str) -> str | None:
    return name if name.isupper() and (find_zone(name) or _OFFSET.fullmatch(name)) else None


def _zone_of(noun: str, place: str) -> str | None:
    return _zone(place, noun)


_IN = "[at of to maybe_after]?"
ZONES = (
    *(
        phrase(
            f"{_IN} article? ([unit zone_noun]) (?:of article?|at)? ([place unknown name]{{{words}}})",
            Kind.ZONE,
            _zone_of,
        )
        for words in (2, 1)
    ),
    phrase(f"{_IN} ([place unknown name]{{2}}) zone_noun", Kind.ZONE, lambda place: _zone(place, "time")),
    phrase(f"{_IN} ([place unknown name]) ([unit zone_noun])", Kind.ZONE, _zone),
    phrase(f"{_IN} article? (zone)", Kind.ZONE, "{1}"),
    phrase("zone ([place unknown name])", Kind.ZONE, lambda place: _zone(place, "time")),
    phrase("open (zone) close", Kind.ZONE, "{1}"),
    phrase("open ([unknown name]) close", Kind.ZONE, _abbreviation),
)
PLACED_ZONES = (
    phrase("(times) [link comma]? (zone) link? (times)", Kind.MOMENT, "{1} {3} {2}"),
    phrase("(times) [link comma]? (zone)", Kind.MOMENT, "{1} {2}"),
    phrase("(zone) [comma link]? (times)", Kind.MOMENT, "{2} {1}"),
)
