"""A question, as asked and as resolved: its moment, window and scope."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from context_builder.errors import ContextBuilderError


class QuestionError(ContextBuilderError, ValueError):
    """An invalid question or argument; the message says what is accepted."""


NOBODY = ""
"""In place of a user's public id: asks as someone who sees no user at all."""


class Wording(StrEnum):
    """A part of a resolved question that only some sources read: it is a field of ContextRequest."""

    QUESTION = "question"
    TOPICS = "topics"
    DIMENSIONS = "dimensions"
    SIDES = "sides"


class Topic(StrEnum):
    """A subject of questions; sources declare which topics they serve."""

    HEALTH = "health"
    INCIDENTS = "incidents"
    ERRORS = "errors"
    LATENCY = "latency"
    COST = "cost"
    VOLUME = "volume"
    QUALITY = "quality"
    HISTORY = "history"
    CHANGES = "changes"
    RISK = "risk"


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """A half-open span of time, [start, end)."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open span of whole UTC minutes, [start, end)."""

    start: datetime
    end: datetime
    origin: str = "default"
    """The phrase in the question, the argument or the default that it comes from, in words."""

    @property
    def length(self) -> timedelta:
        """The time from start to end."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Scope:
    """Database ids that the question names. An empty field restricts nothing."""

    deployment_ids: tuple[int, ...] = ()
    tiers: tuple[str, ...] = ()
    user_ids: tuple[int, ...] = ()
    incident_ids: tuple[int, ...] = ()
    request_ids: tuple[int, ...] = ()
    excluded_user_ids: tuple[int, ...] = ()
    """Users left out. Excluded deployments and tiers need no field: the others are in scope."""
    labels: tuple[str, ...] = ()
    """The scope in words, as shown in the prompt: `deployment gpt-4/aws`, `tier premium`."""

    def of_user(self, user_id: int | None, label: str = "") -> Scope:
        """Return the scope with this user for all users, tiers and requests in it; None: without any."""
        of_users = ("tier ", "user ", "all users but ", "request ")
        labels = tuple(each for each in self.labels if not each.startswith(of_users))
        return Scope(
            deployment_ids=self.deployment_ids,
            user_ids=() if user_id is None else (user_id,),
            incident_ids=self.incident_ids,
            request_ids=() if user_id is None else self.request_ids,
            labels=(*labels, label) if label else labels,
        )


@dataclass(frozen=True, slots=True)
class Side:
    """What a question asks the figures of: one of the two things it compares, or a window with gaps."""

    label: str
    """In words: `last week`, `tier premium`, `this week without Sunday`."""
    intervals: tuple[Interval, ...]
    """Whole UTC minutes, in order, disjoint, not after `as_of`."""
    scope: Scope


@dataclass(frozen=True, slots=True)
class NotUsed:
    """A part of the question that the answer does not take into account."""

    text: str
    """As asked."""
    reason: str
    """Why, in words that follow a colon."""


@dataclass(frozen=True, slots=True)
class UnknownName:
    """A word that looks like an entity of the gateway but matches none."""

    name: str
    near: tuple[str, ...] = ()
    """Similar known names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeNames:
    """A scope given by a caller in public ids; overrides names in the question's text."""

    deployments: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    incidents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionInput:
    """A question as received, before anything is looked up."""

    question: str
    asked_by: str | None = None
    """Public id of the user who asks."""
    as_of: datetime | None = None
    """The moment asked about, time-zone-aware; None: now."""
    since: datetime | None = None
    until: datetime | None = None
    """Bounds of the window; they override times in the text."""
    scope: ScopeNames = field(default_factory=ScopeNames)
    token_budget: int | None = None
    """Maximum tokens of the whole prompt; None: the configured default."""
    confined_to: str | None = None
    """Public id of the user who alone is seen, with the state of the gateway; None: sees all users.

    NOBODY: sees no user. Not for the asker to choose: it is set by what has authenticated them.
    """

    @property
    def asker(self) -> str | None:
        """Return the public id of the user who asks, and pays."""
        return self.asked_by or self.confined_to or None

    @property
    def said(self) -> str:
        """Return all names that the asker has given, their own included."""
        names = (name for each in astuple(self.scope) for name in each)
        return "\n".join([self.question, self.asked_by or "", self.confined_to or "", *names])


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextRequest:
    """A resolved question, the input of every source."""

    question: str
    as_of: datetime
    is_now: bool
    """True if `as_of` is the present, so that current state may be reported as such."""
    window: Window
    token_budget: int
    scope: Scope = field(default_factory=Scope)
    topics: frozenset[Topic] = frozenset()
    max_age_s: float = 0.0
    """How old what is read may be when the question begins; 0: not older than the question."""
    dimensions: frozenset[str] = frozenset()
    """Words of the question that name a dimension of the traffic: tier, model, backend, deployment."""
    unknown_names: tuple[UnknownName, ...] = ()
    sides: tuple[Side, ...] = ()
    """Two if the question compares, one if its window has gaps, else none.

    `window` is then that of the later side, or from the first to the last part of a window with gaps;
    `scope` covers every side.
    """
    not_used: tuple[NotUsed, ...] = ()
    """What was found in the question and not taken into account."""
    notes: tuple[str, ...] = ()
    """How parts of the question were understood where that is not plain, without a full stop."""
    confined_to: int | None = None
    """Id of the user who alone is seen, NO_USER if none is; None: all are."""

    def narrowed(self, wording: frozenset[Wording]) -> ContextRequest:
        """Return the question with nothing but its moment, window, scope, user and parts of its wording.

        Questions that are equal after it have the same facts in every source that reads no other part.
        """
        kept: dict[str, Any] = {part: getattr(self, part) for part in wording}
        return ContextRequest(
            **{"question": "", **kept},
            as_of=self.as_of,
            is_now=self.is_now,
            window=Window(self.window.start, self.window.end, origin=""),
            token_budget=0,
            scope=self.scope,
            confined_to=self.confined_to,
        )
