"""How the product understands the phrases: each resolved, compared field by field with the table."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from context_builder.question.lookups import Lookups
from context_builder.question.request import ContextRequest, QuestionError, QuestionInput, Scope
from context_builder.question.resolve import resolve
from models import Deployment, Incident, User
from models.database import Database
from tests.evaluation.understanding.phrase import (
    Part,
    Phrase,
    Scoped,
    phrases,
    restricted,
)
from tests.evaluation.understanding.world import write_world

QUIET_KINDS = ("plain", "trap")
"""Kinds in which nothing may be reported as not used or unknown, unless the table says so."""
_BUDGET = 4_000


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that was understood in another way."""

    field: str
    expected: str
    got: str


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one phrase."""

    phrase: Phrase
    differences: tuple[Difference, ...]
    reported: tuple[str, ...]
    """What was not used, how parts were understood, names not known: all that a reader is told."""

    @property
    def is_exact(self) -> bool:
        """Everything is right."""
        return not self.differences

    @property
    def is_told(self) -> bool:
        """It is misread, and a reader is told about each part of the question that the table points at.

        Where the table points at none, about any part: the reader knows that something was left out.
        """
        if self.is_exact:
            return False
        return not _untold(self.phrase, self.reported) if self.phrase.told else bool(self.reported)

    @property
    def is_silent(self) -> bool:
        """It is misread, and nobody is told: the worst."""
        return not self.is_exact and not self.is_told


@dataclass(frozen=True, slots=True)
class Names:
    """Public ids of a database's rows."""

    deployments: Mapping[int, str]
    users: Mapping[int, str]
    incidents: Mapping[int, str]

    def scoped(self, scope: Scope) -> Scoped:
        """A scope in names."""
        return restricted(
            deployments=frozenset(self.deployments[number] for number in scope.deployment_ids),
            tiers=frozenset(map(str, scope.tiers)),
            users=frozenset(self.users[number] for number in scope.user_ids),
            excluded_users=frozenset(self.users[number] for number in scope.excluded_user_ids),
        )


async def results(only: Iterable[str] = ()) -> list[Result]:
    """Resolves all phrases, or those of some parts, each at its own moment; in the order of the table."""
    parts = tuple(only)
    asked = [phrase for phrase in phrases() if not parts or phrase.part in parts]
    with tempfile.TemporaryDirectory() as folder:
        database = await write_world(Path(folder) / "phrases.db")
        try:
            names = await names_of(database)
            return [await _result(database, names, phrase) for phrase in asked]
        finally:
            await database.close()


def measure(only: Iterable[str] = ()) -> list[Result]:
    """`results` for callers without an event loop."""
    return asyncio.run(results(only))


async def names_of(database: Database) -> Names:
    """Those of a database."""
    async with database.read() as session:
        tables: list[dict[int, str]] = []
        for table in (Deployment, User, Incident):
            rows = await session.execute(select(table.id, table.public_id))
            tables.append({row.id: row.public_id for row in rows})
    return Names(*tables)


async def _result(database: Database, names: Names, phrase: Phrase) -> Result:
    async with database.read() as session:
        try:
            request = await resolve(
                QuestionInput(question=phrase.question),
                Lookups.of(session),
                now=phrase.as_of,
                default_budget=_BUDGET,
            )
        except QuestionError as refusal:
            return Result(phrase, _of_refusal(phrase, str(refusal)), (str(refusal),))
    reported = (
        *(f"{part.text}: {part.reason}" for part in request.not_used),
        *request.notes,
        *(name.name for name in request.unknown_names),
    )
    return Result(phrase, tuple(_differences(phrase, request, names, reported)), reported)


def _of_refusal(phrase: Phrase, refusal: str) -> tuple[Difference, ...]:
    """A refusal is right where the table asks for one: it leaves window and sides open and says why."""
    if {"window", "sides"} <= phrase.unchecked and not _untold(phrase, (refusal,)):
        return ()
    return (Difference("question", "an answer", f"refused: {refusal}"),)


def _differences(
    phrase: Phrase, request: ContextRequest, names: Names, reported: Sequence[str]
) -> Iterable[Difference]:
    scope = names.scoped(request.scope)
    got: dict[str, Any] = {
        "window": (request.window.start, request.window.end),
        "incidents": frozenset(names.incidents[number] for number in request.scope.incident_ids),
        "sides": tuple(
            Part(
                intervals=tuple((each.start, each.end) for each in side.intervals),
                scope=names.scoped(side.scope),
            )
            for side in request.sides
        ),
    } | {name: getattr(scope, name) for name in Scoped.__slots__}
    expected = {"window": phrase.windows[0], "incidents": phrase.incidents, "sides": phrase.sides}
    expected |= {name: getattr(phrase.scope, name) for name in Scoped.__slots__}
    for field, value in expected.items():
        if field in phrase.unchecked or got[field] == value:
            continue
        if field != "window" or got[field] not in phrase.windows:
            yield Difference(field, shown(value), shown(got[field]))
    yield from _of_reports(phrase, request, reported)


def _of_reports(phrase: Phrase, request: ContextRequest, reported: Sequence[str]) -> Iterable[Difference]:
    unknown = [name.name for name in request.unknown_names]
    if "unknown" not in phrase.unchecked and not _same_names(phrase.unknown, unknown):
        yield Difference("unknown", ", ".join(phrase.unknown) or "none", ", ".join(unknown) or "none")
    if "told" in phrase.unchecked:
        return
    if untold := _untold(phrase, reported):
        yield Difference("told", ", ".join(untold), " | ".join(reported) or "nothing")
    if phrase.kind in QUIET_KINDS and not phrase.told and request.not_used:
        yield Difference("told", "nothing", "; ".join(part.text for part in request.not_used))


def _untold(phrase: Phrase, reported: Sequence[str]) -> list[str]:
    said = " ".join(reported).casefold()
    return [words for words in phrase.told if not any(one in said for one in words.casefold().split("|"))]


def _same_names(expected: Sequence[str], got: Sequence[str]) -> bool:
    """Each is reported, if need be with more or fewer words around it, and nothing else is."""
    wanted, found = [_letters(name) for name in expected], [_letters(name) for name in got]
    return all(any(one in other or other in one for other in found) for one in wanted) and all(
        any(one in other or other in one for other in wanted) for one in found
    )


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())


def shown(value: Any) -> str:
    """A field's value for people."""
    if isinstance(value, frozenset):
        return ", ".join(sorted(value)) or "none"
    if isinstance(value, Part):
        scope = "; ".join(
            f"{name.replace('_', ' ')} {shown(names)}"
            for name in Scoped.__slots__
            if (names := getattr(value.scope, name))
        )
        return f"[{', '.join(map(shown, value.intervals))} of {scope or 'all'}]"
    if value and isinstance(value[0], Part):
        return " and ".join(map(shown, value))
    return "/".join(f"{each:%Y-%m-%dT%H:%M}" for each in value) or "none"
