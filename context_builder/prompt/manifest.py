"""The record of one built prompt: what was read, shown and omitted, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter

from context_builder.prompt.tokens import BoundTerms
from context_builder.question.request import Interval, NotUsed, UnknownName, Window
from context_builder.source import Headline, Status


class Detail(StrEnum):
    """How much of a fact is shown."""

    FULL = "full"
    SHORT = "short"
    COUNTED = "counted"
    """Included only in the count of its kind in the summary line of its source."""
    CUT = "cut"
    """Not shown; included at most in the total of omitted facts."""


@dataclass(frozen=True, slots=True)
class FactEntry:
    """The outcome of one fact."""

    ref: str
    source: str
    on_topic: bool
    """True if the fact shares a topic with the question."""
    detail: Detail
    tokens: int
    """Token bound of the shown text; 0 if it is not shown."""
    reason: str
    text: str
    """The shown text; the full text if it is not shown."""
    importance: float = 0.0
    """From 0 to 1 within its source."""
    same_as: str | None = None
    """Reference of the fact that states the same and replaces this one."""
    stable: bool = False
    """True if the fact is in the stable part of the prompt."""
    approved: bool = False
    """True if an operator wrote or approved what it quotes."""
    headline: Headline | None = None
    """The fact as one line of a brief."""

    @property
    def is_shown(self) -> bool:
        """True if the prompt contains the text."""
        return self.detail in (Detail.FULL, Detail.SHORT)


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """The outcome of reading one source."""

    name: str
    ref: str
    """Reference of the summary line."""
    status: Status
    milliseconds: int
    header: str
    kept: int
    cut: int
    gaps: tuple[str, ...] = ()
    """Data that the source reports as unavailable for this moment."""
    error: str | None = None
    on_topic: bool = True
    """True if the source shares a topic with the question."""
    not_shown: tuple[str, ...] = ()
    """Omitted facts, counted by kind."""
    folded: bool = False
    """True if the source is collapsed: named with its status in a line shared by several sources."""
    stable: bool = False
    """True if the summary line is in the stable part of the prompt."""
    headline: Headline | None = None
    """The header as one line of a brief."""

    @property
    def text(self) -> str:
        """The text of the summary line, without its reference."""
        omitted = f"; {', '.join(self.not_shown)} not shown here" if self.not_shown else ""
        summary = f"{self.name} ({self.status}): {self.error or self.header}{omitted}"
        return "; not known: ".join([summary, *self.gaps])


@dataclass(frozen=True, slots=True)
class SideEntry:
    """One of two things that the question compares, or its window with gaps."""

    label: str
    intervals: tuple[Interval, ...]
    scope: tuple[str, ...]
    """The scope in words; empty if nothing restricts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything that determines the prompt: `render` reproduces it from this alone, byte for byte."""

    question: str
    as_of: datetime
    live: bool
    window: Window
    scope: tuple[str, ...]
    unknown_names: tuple[UnknownName, ...]
    sides: tuple[SideEntry, ...] = ()
    """Two if the question compares, one if its window has gaps, else none."""
    not_used: tuple[NotUsed, ...] = ()
    """What was found in the question and not taken into account; limits the confidence."""
    notes: tuple[str, ...] = ()
    """How parts of the question were understood where that is not plain."""
    topics: tuple[str, ...]
    token_budget: int
    token_bound: int
    build_ms: int
    max_age_s: float = 0.0
    """How old what was read may have been when the question began, in seconds; in the prompt."""
    age_ms: int = 0
    """How old it was."""
    sources: tuple[SourceEntry, ...]
    facts: tuple[FactEntry, ...]
    """In order of utility, including omitted ones."""
    prompt_sha256: str
    bound_terms: BoundTerms | None = None
    """The terms of `token_bound`; None in manifests from before they were recorded."""

    @property
    def shown(self) -> dict[str, str]:
        """Text by reference of everything citable in the prompt: summary lines and shown facts."""
        headers = {source.ref: source.text for source in self.sources if not source.folded}
        return headers | {fact.ref: fact.text for fact in self.facts if fact.is_shown}

    @property
    def approved(self) -> frozenset[str]:
        """References of facts whose quotations an operator wrote or approved."""
        return frozenset(fact.ref for fact in self.facts if fact.approved)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, from which `from_json` restores an equal manifest."""
        document: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return document

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Manifest:
        """Restore the manifest that `to_json` stored."""
        return _ADAPTER.validate_python(document)


_ADAPTER = TypeAdapter(Manifest)
