"""Writes out what people abbreviate, run together or mistype in English, as readers know it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from context_builder.question.language.lexicon import NOT_MISTYPED, OFTEN_MISTYPED
from context_builder.question.times.zones import find_zone, zone_of_place
from context_builder.text.zones import GENERIC

Edit = tuple[int, int, str]
"""Start and end of a part of a text, and what stands there instead."""

_HOUR = r"(?:[01]\d|2[0-3])"
_CLOCK = r"\d{1,2}(?::\d\d)?(?: ?[ap]m)?"
_UNIT = r"(?:second|minute|hour|day|week|month|year)s?"
_RELATION = r"(?:since|at|from|until|till|before|after|last|past|next|between|around|about|by)"
_FORMS = (
    # Timestamps and dates without punctuation; times of day without a colon where they can be nothing else.
    (rf"(20\d\d)(\d\d)(\d\d)[T_-]?({_HOUR})([0-5]\d)(?:[0-5]\d)?(Z?)", r"\1-\2-\3T\4:\5\6"),
    (r"(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])", r"\1-\2-\3"),
    (rf"({_HOUR})([0-5]\d) ?h(?:(?:ou)?rs)?", r"\1:\2"),
    (rf"({_RELATION}|and|to) ?(0\d)([0-5]\d)", r"\1 \2:\3"),
    (
        rf"(?!(?:199|20)\d+\D+(?:199|20)\d\d)({_HOUR})([0-5]\d) ?(to|-|–|until|till) ?({_HOUR})([0-5]\d)",
        r"\1:\2 \3 \4:\5",
    ),
    (r"(\d{1,2})\.([0-5]\d)( ?[ap]m)", r"\1:\2\3"),
    (rf"(at|around|since|until|till) (?!(?:19|20)\d\d)({_HOUR})([0-5]\d)", r"\1 \2:\3"),
    (r"non(premium|standard|budget)", r"non-\1"),
    # Without their spaces.
    (rf"({_CLOCK})(and|to|till|until)({_CLOCK})", r"\1 \2 \3"),
    (rf"({_RELATION})({_CLOCK})({_UNIT}|mins?|hrs?|[hmd])?", r"\1 \2 \3"),
    (rf"(\d{{1,4}})({_UNIT})", r"\1 \2"),
    # Short for something, or another word for it.
    (rf"(?:(?:around|about|at) )?({_CLOCK})-?ish", r"around \1"),
    (r"(?:in the )?(?:leading up|run-?up|build-?up) to", "before"),
    (r"prior to", "before"),
    (r"(?:at|around|about|by) the time of", "around"),
    (
        r"since (the (?:last )?(?:outage|incident)) (?:ended|finished|was (?:resolved|over|fixed))",
        r"after \1",
    ),
    (r"(?:on )?(?:either|both) sides? of", "before to after"),
    (r"nites?|nigth", "night"),
    (r"(?:to|2)nite", "tonight"),
    (r"tmrw|2moro?", "tomorrow"),
    (r"yday|y'day|yest", "yesterday"),
    (r"wknd", "weekend"),
    (r"wk", "week"),
    (r"'?til|untill", "until"),
    (r"sicne|sinse", "since"),
    (r"todya|2day", "today"),
    (r"midnite", "midnight"),
    (r"barring|sans|excpt", "except"),
    (r"b/w", "between"),
    (
        r"(slower|faster|worse|better|higher|lower|more|less|fewer|cheaper) then(?! \w+ (?:is|was|did)\b)",
        r"\1 than",
    ),
    (r"(?<=[a-z] )v\.?(?= [a-z])", "vs"),
)
_WRITTEN = tuple(
    (re.compile(rf"(?<![\w/:@-])(?<!(?<!\.)\.)(?:{form})(?![\w/@]|-\w)", re.IGNORECASE), full)
    for form, full in _FORMS
)
_MISTYPED = re.compile(r"(?<![\w./:@#'-])[^\W\d_]{6,10}(?![\w/@#'-]|\.\w)")


_IN_PLACE = re.compile(
    r"(?:\d:\d\d|\d ?[ap]\.?m\.?|noon|midnight) (?P<lead>\(?(?:in )?)(?P<word>[A-Za-z]{3,}\b)"
    r"(?P<more> [A-Z][a-z]+\b)?(?! (?:\w+ )?time\b)"
)
"""A time of day before what may be a place."""


def edits(text: str, *, is_english: bool) -> Iterator[Edit]:
    """Yield what to write out in an English text, in order; of a translated one only places beside times."""
    found = [
        (match.start(), match.end(), " ".join(match.expand(full).split()))
        for form, full in (_WRITTEN if is_english else ())
        for match in form.finditer(text)
    ]
    end = 0
    for start, stop, full in sorted(
        [*found, *assumed(text, is_english=is_english)], key=lambda edit: (edit[0], -edit[1])
    ):
        if start >= end:
            yield start, stop, full
            end = stop


def assumed(text: str, *, is_english: bool) -> Iterator[Edit]:
    """Yield what may be meant in another way: slips of the hand, and places whose time a clock time is in.

    A slip is a word of time, tier or exclusion with one letter missing, added, wrong or in another's place.
    """
    for match in _IN_PLACE.finditer(text):
        places = filter(_is_place, (match["word"] + (match["more"] or ""), match["word"]))
        for place in islice(places, 1):
            yield match.start("lead"), match.start("word") + len(place), f"{place} time"
    for match in _MISTYPED.finditer(text if is_english else ""):
        word = match[0].casefold()
        if word in OFTEN_MISTYPED or word in NOT_MISTYPED:
            continue
        meant = next(
            (known for known in OFTEN_MISTYPED if word[0] == known[0] and _is_slip(word, known)), None
        )
        if meant:
            yield *match.span(), meant


def _is_place(name: str) -> bool:
    """Return whether a place has a zone; in small letters some names of places are ordinary words."""
    zone = zone_of_place(name)
    is_plain = not name.islower() or name.upper() in GENERIC
    return (
        zone is not None and not find_zone(name) and (is_plain or zone.name.startswith(("Europe/", "Asia/")))
    )


def _is_slip(word: str, known: str) -> bool:
    if abs(len(word) - len(known)) > 1 or word == f"{known}s":
        return False
    same = next(
        (n for n, (one, other) in enumerate(zip(word, known, strict=False)) if one != other), len(known)
    )
    left, right = word[same:], known[same:]
    is_swapped = left[:2] == right[1::-1] and left[2:] == right[2:]
    return is_swapped or left[1:] == right[1:] or left[1:] == right or left == right[1:]
