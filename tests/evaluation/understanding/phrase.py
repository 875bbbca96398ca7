"""The table of phrases: a question, when it is asked, and how it has to be understood."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from tests.evaluation.understanding.world import DEPLOYMENTS, INCIDENTS, REGIONS, TIERS, USERS, moment

FOLDER = Path(__file__).resolve().parent / "phrases"
NIGHT = "night"
"""The part of the long questions, which nobody tunes by."""
SECOND = "second"
"""The part that was written later and is unseen: its misreadings are counted, never listed."""
VARIED, HELD = "varied_tune", "varied_held"
"""The halves of the part whose kinds differ most: one to tune by, one unseen."""
UNSEEN = (SECOND, HELD)
PARTS = ("tune", "report", NIGHT, SECOND, VARIED, HELD)
DEFAULT_LENGTH = timedelta(hours=24)
MOMENTS = {
    "sunday": "2026-11-29T12:40",
    "wednesday": "2026-11-25T03:12",
    "monday": "2026-11-30T00:10",
    "new_year": "2027-01-01T09:30",
    "leap_day": "2028-02-29T14:05",
    "berlin_dst": "2026-10-25T10:00",
    "new_york_dst": "2027-03-14T18:00",
    "month_end": "2026-10-31T23:50",
}
"""When questions are asked, in UTC; clocks change that day in Berlin and in New York."""
CHECKED = (
    "window", "deployments", "tiers", "users", "excluded_users", "incidents", "sides", "unknown", "told",
)  # fmt: skip
_FIELDS = {*CHECKED, "id", "at", "ask", "also", "unchecked"}
_SIDE_FIELDS = {"intervals", "deployments", "tiers", "users", "excluded_users"}

Span = tuple[datetime, datetime]
Names = frozenset[str]
NOTHING: Names = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoped:
    """Whom it is about; an empty field restricts nothing, and neither does one with every name."""

    deployments: Names = NOTHING
    tiers: Names = NOTHING
    users: Names = NOTHING
    excluded_users: Names = NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One side of a comparison, or a window with gaps."""

    intervals: tuple[Span, ...]
    scope: Scoped


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """One line of the table."""

    id: str
    language: str
    kind: str
    part: str
    question: str
    as_of: datetime
    windows: tuple[Span, ...]
    """Any of these is right: people differ on when a morning begins."""
    scope: Scoped
    incidents: Names
    sides: tuple[Part, ...]
    unknown: tuple[str, ...]
    told: tuple[str, ...]
    """What has to be said to be left out or understood in one of several ways; `a|b`: either of them."""
    unchecked: frozenset[str]
    """Fields where several readings are right."""


@cache
def phrases() -> tuple[Phrase, ...]:
    """All of them, in the order of the files.

    Raises:
        ValueError: A line has a field, a name or a moment that does not exist.
    """
    return tuple(phrase for path in sorted(FOLDER.glob("*.toml")) for phrase in _of_file(path))


def _of_file(path: Path) -> Iterator[Phrase]:
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    tables = {table.pop("language"): table} if "language" in table else table
    whole = path.stem in PARTS
    for language, kind, line in _lines(tables):
        try:
            phrase = _phrase(line, language, kind)
        except (KeyError, ValueError) as wrong:
            raise ValueError(f"{path.name}, {line.get('id', line)}: {wrong}") from wrong
        yield replace(phrase, part=path.stem) if whole else phrase


def _lines(tables: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Language, kind and line of a file: one language, or a table for each."""
    for language, kinds in tables.items():
        for kind, lines in kinds.items():
            yield from ((language, kind, line) for line in lines)


def _phrase(line: Mapping[str, Any], language: str, kind: str) -> Phrase:
    _only(line, _FIELDS)
    as_of = moment(MOMENTS[line.get("at", "sunday")])
    written = line.get("window", "default")
    first = (as_of - DEFAULT_LENGTH, as_of) if written == "default" else span(written, as_of)
    scope = scoped(line)
    sides = tuple(_side(side, first, scope, as_of) for side in line.get("sides", ()))
    if sides and scope == Scoped():
        scope = _union([side.scope for side in sides])
    return Phrase(
        id=line["id"],
        language=language,
        kind=kind,
        part=PARTS[hashlib.sha256(line["id"].encode()).digest()[0] % 2],
        question=line["ask"],
        as_of=as_of,
        windows=(first, *(span(text, as_of) for text in line.get("also", ()))),
        scope=scope,
        incidents=_names(line.get("incidents", ()), tuple(INCIDENTS)),
        sides=sides,
        unknown=tuple(line.get("unknown", ())),
        told=tuple(line.get("told", ())),
        unchecked=frozenset(_only(line.get("unchecked", ()), CHECKED)),
    )


def _only(names: Iterable[str], accepted: Iterable[str]) -> Iterable[str]:
    strange = set(names) - set(accepted)
    if strange:
        raise ValueError(f"unknown fields {sorted(strange)}; accepted are {sorted(accepted)}")
    return names


def span(text: str, as_of: datetime) -> Span:
    """What `2026-11-28T09:00/2026-11-28T10:00` means; `now` is the moment asked at.

    Raises:
        ValueError: It is empty, or ends after that moment.
    """
    start, end = (as_of if side == "now" else moment(side) for side in text.split("/"))
    if not start < end <= as_of:
        raise ValueError(f"{text} is empty or ends after {as_of:%Y-%m-%dT%H:%M}")
    return start.astimezone(UTC), end.astimezone(UTC)


def _side(side: Mapping[str, Any], window: Span, whole: Scoped, as_of: datetime) -> Part:
    _only(side, _SIDE_FIELDS)
    intervals = tuple(span(text, as_of) for text in side.get("intervals", ())) or (window,)
    own = scoped(side)
    named = {name: value for name in Scoped.__slots__ if (value := getattr(own, name))}
    return Part(intervals=intervals, scope=replace(whole, **named))


def scoped(line: Mapping[str, Any]) -> Scoped:
    """The scope that a line of the table names."""
    return restricted(
        deployments=_names(line.get("deployments", ()), DEPLOYMENTS),
        tiers=_names(line.get("tiers", ()), TIERS),
        users=_names(line.get("users", ()), tuple(USERS)),
        excluded_users=_names(line.get("excluded_users", ()), tuple(USERS)),
    )


def restricted(*, deployments: Names, tiers: Names, users: Names, excluded_users: Names) -> Scoped:
    """A scope in which all deployments, or all tiers, are the same as none in particular."""
    return Scoped(
        deployments=NOTHING if len(deployments) == len(DEPLOYMENTS) else deployments,
        tiers=NOTHING if len(tiers) == len(TIERS) else tiers,
        users=users,
        excluded_users=excluded_users,
    )


def _union(scopes: Sequence[Scoped]) -> Scoped:
    """What covers all of them: a field that one of them leaves open restricts nothing."""
    each = [[getattr(scope, name) for scope in scopes] for name in Scoped.__slots__]
    deployments, tiers, users, excluded = (
        NOTHING.union(*values) if all(values) else NOTHING for values in each
    )
    return restricted(deployments=deployments, tiers=tiers, users=users, excluded_users=excluded)


def _names(patterns: Sequence[str], known: Sequence[str]) -> Names:
    """Those that match a pattern: `*/aws`, `@eu-west-1` for a region, and with `!` all but those."""
    found: Names = NOTHING
    for pattern in patterns:
        plain = pattern.removeprefix("!")
        matching = REGIONS[plain[1:]] if plain.startswith("@") else _matching(plain, known)
        if not matching:
            raise ValueError(f"{pattern!r} matches none of {', '.join(known)}")
        found = (found or frozenset(known)) - matching if pattern.startswith("!") else found | matching
    return found


def _matching(pattern: str, known: Sequence[str]) -> Names:
    return frozenset(name for name in known if fnmatchcase(name, pattern))
