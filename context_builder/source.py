"""The contract of a context source: what it is given and what it gives back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from context_builder.question.request import ContextRequest, Topic
from context_builder.telemetry.runbooks import Runbooks

if TYPE_CHECKING:  # so that packing and rendering, which know facts, stay free of databases
    from context_builder.exploration.exploration import Exploration
    from memory.incident_memory import IncidentMemory
    from models.snapshot import Snapshot


class Status(StrEnum):
    """How reading a source ended."""

    OK = "ok"
    EMPTY = "empty"
    STALE = "stale"
    TIMEOUT = "timeout"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is true at `as_of`, in a sentence that stands alone."""

    text: str
    short: str = ""
    """The same with less detail; empty where the text cannot be shortened."""
    importance: float = 0.5
    """From 0 to 1 within its source."""
    topics: frozenset[Topic] = frozenset()
    """What the fact is about where that is narrower than its source's topics."""
    kind: str = ""
    """Plural noun under which it is counted where it is not shown: `error templates`."""
    key: str = ""
    """What it states, where another source may state the same: such facts are shown once."""


@dataclass(frozen=True, slots=True)
class Section:
    """Everything one source has to say. The header is always shown; facts compete for the budget."""

    header: str
    facts: tuple[Fact, ...] = ()
    status: Status = Status.OK
    gaps: tuple[str, ...] = ()
    """What cannot be known for this moment, each a sentence."""


@dataclass(frozen=True, slots=True)
class Stores:
    """What a source may read: one snapshot of the database, memory, what was found in both, and runbooks."""

    snapshot: Snapshot
    memory: IncidentMemory
    exploration: Exploration
    """Findings that several sources use, made once per question."""
    runbooks: Runbooks = field(default_factory=Runbooks)
    """The operator's own documents; without a folder there are none."""


Read = Callable[[ContextRequest, Stores], Awaitable[Section]]


@dataclass(frozen=True, slots=True)
class ContextSource:
    """A source: one file that defines `source`, discovered by its file's name."""

    name: str
    prefix: str
    """Upper-case letters that begin the references of its facts, unique among the sources."""
    topics: frozenset[Topic]
    deadline_s: float
    read: Read
    stable: bool = False
    """Whether it says the same to every question, whatever its scope, until the gateway is changed."""


@dataclass(frozen=True, slots=True)
class SourceResult:
    """What came of reading one source."""

    source: ContextSource
    section: Section
    status: Status
    milliseconds: int
    error: str | None = None
    """One line that says what went wrong, where something did."""


def by_importance(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    """Return facts with the most important first; ties keep their order."""
    return tuple(sorted(facts, key=lambda fact: -fact.importance))
