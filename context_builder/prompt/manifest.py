"""The record of one built prompt: what was read, what was shown, what was cut, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter

from context_builder.prompt.tokens import BoundTerms
from context_builder.question.request import UnknownName, Window
from context_builder.source import Status


class Detail(StrEnum):
    """How much of a fact is shown."""

    FULL = "full"
    SHORT = "short"
    COUNTED = "counted"
    """Only in the number of facts of its kind that its source's line gives."""
    CUT = "cut"
    """Not at all, or only in the number of all facts that are not shown."""


@dataclass(frozen=True, slots=True)
class FactEntry:
    """What became of one fact."""

    ref: str
    source: str
    on_topic: bool
    """Whether it shares a topic with the question."""
    detail: Detail
    tokens: int
    """Bound of what is shown; 0 where it is not."""
    reason: str
    text: str
    """As shown; the full text where it is not."""
    importance: float = 0.0
    """From 0 to 1 within its source."""
    same_as: str | None = None
    """Reference of the fact that states the same, and is shown instead."""
    stable: bool = False
    """Whether it stands in the prompt's stable part."""

    @property
    def is_shown(self) -> bool:
        """Whether the prompt holds its text."""
        return self.detail in (Detail.FULL, Detail.SHORT)


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """How reading one source went."""

    name: str
    ref: str
    """Reference of the header line."""
    status: Status
    milliseconds: int
    header: str
    kept: int
    cut: int
    gaps: tuple[str, ...] = ()
    """What the source says cannot be known for this moment."""
    error: str | None = None
    on_topic: bool = True
    """Whether it helps with a topic of the question."""
    not_shown: tuple[str, ...] = ()
    """Its facts that the prompt leaves out, counted by kind."""
    folded: bool = False
    """Whether the prompt names it with its status only, in a line that many sources share."""
    stable: bool = False
    """Whether its line stands in the prompt's stable part."""

    @property
    def text(self) -> str:
        """What the prompt says of the source as a whole, under its reference."""
        left_out = f"; {', '.join(self.not_shown)} not shown here" if self.not_shown else ""
        said = f"{self.name} ({self.status}): {self.error or self.header}{left_out}"
        return "; not known: ".join([said, *self.gaps])


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything that decides the prompt: `render` makes it again from this alone, byte for byte."""

    question: str
    as_of: datetime
    live: bool
    window: Window
    scope: tuple[str, ...]
    unknown_names: tuple[UnknownName, ...]
    topics: tuple[str, ...]
    token_budget: int
    token_bound: int
    build_ms: int
    sources: tuple[SourceEntry, ...]
    facts: tuple[FactEntry, ...]
    """In order of utility, the cut ones too."""
    prompt_sha256: str
    bound_terms: BoundTerms | None = None
    """How `token_bound` came about; manifests of before it was recorded have none."""

    @property
    def shown(self) -> dict[str, str]:
        """Text by reference of everything citable in the prompt: summaries of sources and kept facts."""
        headers = {source.ref: source.text for source in self.sources if not source.folded}
        return headers | {fact.ref: fact.text for fact in self.facts if fact.is_shown}

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, from which `from_json` makes an equal manifest."""
        document: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return document

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Manifest:
        """The manifest that `to_json` stored."""
        return _ADAPTER.validate_python(document)


_ADAPTER = TypeAdapter(Manifest)
