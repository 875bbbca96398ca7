"""The contract of a context source: its inputs and its result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, cast

from context_builder.question.form import Noun
from context_builder.question.request import ContextRequest, Topic, Wording
from context_builder.telemetry.runbooks import Runbooks

if TYPE_CHECKING:  # keeps packing and rendering, which import facts, free of databases
    from context_builder.exploration.exploration import Exploration
    from context_builder.rollups.store import Rollups
    from memory.incident_memory import IncidentMemory
    from models.snapshot import Snapshot


T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Status(StrEnum):
    """The outcome of reading a source."""

    OK = "ok"
    EMPTY = "empty"
    STALE = "stale"
    TIMEOUT = "timeout"
    ERROR = "error"

    @property
    def is_failure(self) -> bool:
        """Return whether the source could not be read."""
        return self in (Status.TIMEOUT, Status.ERROR)


class Role(StrEnum):
    """Which kind of question a statement answers by itself."""

    COUNT = "count"
    """How many or how much."""
    RANKING = "ranking"
    """One of a kind, with the figure that ranks it, or all of a kind in their order."""
    STATE = "state"
    """How one of a kind is."""
    CHANGE = "change"
    """What left its usual level, since when and by how much."""
    DRIVER = "driver"
    """Whom such a change comes from."""
    CAUSE = "cause"
    """What happened at or just before a change, and may have caused it."""
    EVENT = "event"
    """What else happened at a moment."""
    COMPARISON = "comparison"
    """How two things that the question compares differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """A fact, or what a source says as a whole, as one line of a brief, with what it is an answer to.

    It is not in the prompt. Its names and figures are those of the text that it stands for.
    """

    text: str
    """One clause."""
    role: Role
    nouns: tuple[Noun, ...] = ()
    """What it tells of; of a ranking by tier also the tier."""
    topic: Topic | None = None
    """What its figure measures; None: answers questions on any topic."""
    alarm: bool | None = None
    """True if something is wrong, False if this is well, None if it says neither."""
    value: float | None = None
    """The figure that ranks it among others of its source, role, nouns and topic."""
    at: datetime | None = None
    """Since when, or when."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One self-contained statement that is true at `as_of`."""

    text: str
    short: str = ""
    """The same with less detail; empty if the text cannot be shortened."""
    importance: float = 0.5
    """From 0 to 1 within its source."""
    topics: frozenset[Topic] = frozenset()
    """The topics of the fact if they are narrower than those of its source; empty otherwise."""
    kind: str = ""
    """Plural noun under which omitted facts are counted: `error templates`."""
    key: str = ""
    """Identity of the statement if another source may make it too; facts with the same key are shown once."""
    headline: Headline | None = None
    """None: a brief shows the beginning of the text, and takes it for no answer by itself."""
    states: frozenset[str] = frozenset()
    """Keys of facts that this one includes, in short too; they are not shown beside it."""
    leads: bool = False
    """True if it comes first where it is on topic: it tells one fault as a whole, or that there is none."""
    approved: bool = False
    """True if an operator wrote or approved what it quotes: an answer may repeat links and commands of it."""


@dataclass(frozen=True, slots=True)
class Section:
    """The result of one source: a header, which is part of its summary line, and its facts."""

    header: str
    facts: tuple[Fact, ...] = ()
    status: Status = Status.OK
    gaps: tuple[str, ...] = ()
    """Data that is not available for this moment, one sentence each."""
    headline: Headline | None = None
    """Of the header."""
    applies: bool = True
    """False if it needs no line: there was nothing to read, or another source says it."""


@dataclass(frozen=True, slots=True)
class Stores:
    """The data that a source may read."""

    snapshot: Snapshot
    rollups: Rollups
    """Of the snapshot. Wait for them without holding a session: loading takes one."""
    memory: IncidentMemory
    exploration: Exploration
    """Findings shared by several sources, computed once per question."""
    runbooks: Runbooks = field(default_factory=Runbooks)
    """The operator's documents; empty if no folder is configured."""


Read = Callable[[ContextRequest, Stores], Awaitable[Section]]


class Shown(StrEnum):
    """What of a source a question may show that is confined to one user."""

    ALL = "all"
    """All of it: it tells of the gateway, and has no figure of a user, alone or in a total."""
    OWN = "own"
    """What it says of the user: it reads only rows of the users in scope."""
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class ContextSource:
    """A context source, defined as `source` in a file of its own and discovered by the file name."""

    name: str
    prefix: str
    """Upper-case letters at the start of its references, unique among the sources."""
    topics: frozenset[Topic]
    deadline_s: float
    read: Read
    stable: bool = False
    """True if its result is the same for every question and scope until the gateway changes."""
    asks: frozenset[Wording] = frozenset()
    """The parts of a question's wording that its result depends on; it is given no others."""
    shows_to_confined: Shown = Shown.NOTHING

    def asked(self, request: ContextRequest) -> ContextRequest | None:
        """Return what the source is given of a question; None if it shows nothing to the one who asks.

        Of what a source tells of the whole gateway a confined question chooses nothing by its words: what it
        finds would tell which words are there.
        """
        if request.confined_to is None:
            return request.narrowed(self.asks)
        if self.shows_to_confined is Shown.ALL:
            asked = request.narrowed(self.asks - {Wording.QUESTION})
            return replace(asked, scope=request.scope.of_user(None))
        is_own = self.shows_to_confined is Shown.OWN and bool(request.confined_to)
        return request.narrowed(self.asks) if is_own else None


@dataclass(frozen=True, slots=True, eq=False)
class SourceResult:
    """The outcome of reading one source; equal only to itself."""

    source: ContextSource
    section: Section
    status: Status
    milliseconds: int
    error: str | None = None
    """One line about the failure, None if there was none."""
    _derived: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    def derived(self, compute: Callable[[SourceResult, *Ts], T], *arguments: *Ts) -> T:
        """Return what a function makes of this result, computed once and kept no longer than the result.

        All questions of a tick have the same results, so they share it; two threads may both compute it.
        """
        key = (compute, *arguments)
        if key not in self._derived:
            self._derived[key] = compute(self, *arguments)
        return cast("T", self._derived[key])


def by_importance(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    """Return facts with the most important first; ties keep their order."""
    return tuple(sorted(facts, key=lambda fact: -fact.importance))
