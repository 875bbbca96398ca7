"""The answer to a question with its citations, unsupported claims, manifest and cost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from context_builder.answer.confidence import Confidence
from context_builder.llm.usage import Usage
from context_builder.prompt.manifest import Manifest
from context_builder.text.wire import WIRE, Usd


@dataclass(frozen=True, slots=True)
class Citation:
    """A reference in the answer and the fact that it identifies."""

    ref: str
    source: str
    text: str


class ClaimIssue(StrEnum):
    """Why a claim is unsupported."""

    UNKNOWN_REFERENCE = "cites a reference that was not in the prompt"
    NUMBER_NOT_IN_FACTS = "states a number that the cited facts do not hold"
    NUMBER_WITHOUT_REFERENCE = "states a number without a reference"
    UNKNOWN_NAME = "names something that was not in the prompt"
    NAME_NOT_IN_FACTS = "names something that the cited facts do not"
    LINK_NOT_IN_FACTS = "has a link that was not in the prompt"
    LINK_OF_OTHERS = "has a link that only quoted text in the prompt has"
    COMMAND_NOT_IN_FACTS = "gives a command that was not in the prompt"
    COMMAND_OF_OTHERS = "gives a command that only quoted text in the prompt gives"
    WORDS_OF_OTHERS = "repeats quoted text without its reference"


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A sentence of the answer that the facts of the prompt do not support."""

    sentence: str
    doubt: ClaimIssue
    detail: str
    """The reference, number, name, link, command or text in question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to one question."""

    __pydantic_config__ = WIRE

    id: str
    question: str
    as_of: datetime
    text: str
    """Markdown with references such as [H1]."""
    citations: tuple[Citation, ...]
    unsupported: tuple[Unsupported, ...]
    confidence: Confidence
    manifest: Manifest
    model: str | None
    """The model that wrote the text; None if no model was called or it failed, see `no_model_reason`."""
    no_model_reason: str | None
    stop_reason: str | None
    """The API's stop reason; any value but `end_turn` means that the text is incomplete."""
    usage: Usage | None
    cost_usd: Usd
    latency_ms: int
