"""The record of one built prompt: what was read, what was shown, what was cut, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter

from context_builder.request import UnknownName, Window
from context_builder.source import Status
from context_builder.tokens import BoundTerms


class Detail(StrEnum):
    """How much of a fact is shown."""

    FULL = "full"
    SHORT = "short"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class FactEntry:
    """What became of one fact."""

    ref: str
    source: str
    on_topic: bool
    """Whether it shares a topic with the question."""
    detail: Detail
    tokens: int
    """Bound of what is shown; 0 when cut."""
    reason: str
    text: str
    """As shown; the full text when cut."""


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

    @property
    def text(self) -> str:
        """What the prompt says of the source as a whole, under its reference."""
        total = self.kept + self.cut
        shown = f", {self.kept} of {total} facts shown" if total else ""
        said = self.error or self.header
        return "; not known: ".join([f"{self.name} ({self.status}{shown}): {said}", *self.gaps])


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
        headers = {source.ref: source.text for source in self.sources}
        return headers | {fact.ref: fact.text for fact in self.facts if fact.detail is not Detail.CUT}

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, from which `from_json` makes an equal manifest."""
        document: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return document

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Manifest:
        """The manifest that `to_json` stored."""
        return _ADAPTER.validate_python(document)


_ADAPTER = TypeAdapter(Manifest)
