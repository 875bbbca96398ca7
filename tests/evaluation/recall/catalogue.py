"""The failures that generated histories are made of, and how people word them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One mechanism with its symptoms and its fixing, each told in several ways with {slots}."""

    name: str
    titles: tuple[str, ...]
    symptoms: tuple[str, ...]
    lines: tuple[str, ...]
    """Of a log, with codes, hosts and numbers."""
    causes: tuple[str, ...]
    fixes: tuple[str, ...]
    questions: tuple[str, ...]
    """How somebody asks for it who remembers it dimly."""


@cache
def families() -> tuple[Family, ...]:
    """All of them; two that follow each other have the same look and different causes."""
    found = []
    for file in sorted((_FOLDER / "families").glob("*.toml")):
        for entry in tomllib.loads(file.read_text(encoding="utf-8"))["family"]:
            name = entry.pop("name")
            found.append(Family(name=name, **{key: tuple(value) for key, value in entry.items()}))
    return tuple(found)


def tuning_families() -> tuple[Family, ...]:
    """Half of the pairs: all that weights and coefficients are chosen by."""
    return tuple(family for at, family in enumerate(families()) if at // 2 % 2 == 0)


def held_out_families() -> tuple[Family, ...]:
    """The other half: all that figures are reported on."""
    return tuple(family for at, family in enumerate(families()) if at // 2 % 2 == 1)


@cache
def unrelated_questions() -> tuple[str, ...]:
    """Questions to which no past incident is an answer."""
    return _list("unrelated.toml", "questions")


@cache
def remarks() -> tuple[str, ...]:
    """What people add to any incident."""
    return _list("remarks.toml", "remarks")


def _list(file: str, key: str) -> tuple[str, ...]:
    return tuple(tomllib.loads((_FOLDER / file).read_text(encoding="utf-8"))[key])
