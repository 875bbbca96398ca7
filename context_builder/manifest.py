"""The record of one built prompt: what was read, what was shown, what was cut, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from context_builder.request import UnknownName, Window
from context_builder.source import Status


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
    status: Status
    milliseconds: int
    header: str
    kept: int
    cut: int
    gaps: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything that decided the prompt; with it the prompt can be made again, byte for byte."""

    question: str
    as_of: datetime
    window: Window
    scope: tuple[str, ...]
    unknown_names: tuple[UnknownName, ...]
    topics: tuple[str, ...]
    token_budget: int
    token_bound: int
    build_ms: int
    sources: tuple[SourceEntry, ...]
    facts: tuple[FactEntry, ...]
    prompt_sha256: str
