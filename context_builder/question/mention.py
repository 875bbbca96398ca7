"""What a reader finds in a question's text: names and times, with the place where they stand. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from context_builder.question.request import Interval


@dataclass(frozen=True, slots=True, order=True)
class TextSpan:
    """A part of `QuestionText.english`: characters from `start` up to, not including, `end`."""

    start: int
    end: int


class NameKind(StrEnum):
    """What a name is the name of."""

    DEPLOYMENT = "deployment"
    """Deployments, also those of a model, a backend, a region or several of them together."""
    TIER = "tier"
    USER = "user"
    INCIDENT = "incident"
    REQUEST = "request"


@dataclass(frozen=True, slots=True, kw_only=True)
class NameMention:
    """One name in a question, or several that belong together as in "gpt-4 on aws"."""

    spans: tuple[TextSpan, ...]
    """Where it stands, in order; more than one if other words lie between."""
    kind: NameKind
    ids: tuple[int, ...] = ()
    """Database ids; empty for a tier."""
    names: tuple[str, ...]
    """Public ids in the order of `ids`; for a tier its value."""
    is_negated: bool = False
    """True if the word itself negates the name: `non-premium`."""
    note: str = ""
    """How it was understood if that is not plain: “sonnet” means 2 models: a, b."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeMention:
    """One time in a question, resolved: "yesterday between 9 and 10 am", "since the last deploy"."""

    spans: tuple[TextSpan, ...]
    """Where it stands, in order; more than one if a day stands far from its clock time."""
    intervals: tuple[Interval, ...]
    """In order, disjoint; more than one for working days, weekends and the like. May end after `as_of`."""
    label: str
    """In words of the question, for a person: `last week`, `Tuesday`."""
    note: str = ""
    """How it was understood if that is not plain: IST is read as India Standard Time (+05:30)."""
