"""What is asked: the question, the moment, the window and the scope, all resolved once."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from context_builder.errors import ContextBuilderError


class QuestionError(ContextBuilderError, ValueError):
    """The question or one of its arguments cannot be used; the message says what would be accepted."""


class Topic(StrEnum):
    """What a question is about; sources say which topics they help with."""

    HEALTH = "health"
    INCIDENTS = "incidents"
    ERRORS = "errors"
    LATENCY = "latency"
    COST = "cost"
    VOLUME = "volume"
    QUALITY = "quality"
    HISTORY = "history"
    CHANGES = "changes"


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open span of whole UTC minutes, [start, end)."""

    start: datetime
    end: datetime
    origin: str = "default"
    """Where it came from, in words: the phrase in the question, an argument or the default."""

    @property
    def length(self) -> timedelta:
        """From start to end."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Scope:
    """Database ids that the question names. An empty field does not restrict anything."""

    deployment_ids: tuple[int, ...] = ()
    tiers: tuple[str, ...] = ()
    user_ids: tuple[int, ...] = ()
    incident_ids: tuple[int, ...] = ()
    request_ids: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    """The same in words, as shown in the prompt: `deployment gpt-4/aws`, `tier premium`."""


@dataclass(frozen=True, slots=True)
class UnknownName:
    """A word that looks like an entity of the gateway but is none."""

    name: str
    near: tuple[str, ...] = ()
    """Known names that are spelled alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeNames:
    """A scope as a caller gives it, in public ids; wins over what the question's text names."""

    deployments: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    incidents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionInput:
    """A question as it arrives, before anything is looked up."""

    question: str
    asker: str | None = None
    """Public id of the user who asks."""
    as_of: datetime | None = None
    """The moment asked about, aware; None means now."""
    since: datetime | None = None
    until: datetime | None = None
    """An explicit window, which wins over times in the text."""
    scope: ScopeNames = field(default_factory=ScopeNames)
    token_budget: int | None = None
    """Bound of the whole prompt; None takes the default of the settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextRequest:
    """A resolved question: what every source reads."""

    question: str
    as_of: datetime
    live: bool
    """Whether `as_of` is the present, so that current state may be shown as such."""
    window: Window
    token_budget: int
    scope: Scope = field(default_factory=Scope)
    topics: frozenset[Topic] = frozenset()
    unknown_names: tuple[UnknownName, ...] = ()
    asker: str | None = None
