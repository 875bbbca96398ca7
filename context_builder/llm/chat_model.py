"""The contract of a language model: one prompt in, one streamed reply out."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from context_builder.errors import ContextBuilderError
from context_builder.llm.usage import Usage
from context_builder.prompt.prompt import Prompt


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of the reply's text, never empty."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The whole reply, which ends the stream."""

    text: str
    stop_reason: str
    """As the API gave it; anything but `end_turn` means that the text is not whole."""
    model: str
    """The model that wrote it, which may be a dated version of the one asked for."""
    usage: Usage
    request_id: str | None
    """The API's name for the call, for its support."""
    first_token_ms: int | None
    """From the start of the call to the first text; None: there was no text."""
    latency_ms: int
    """From the start of the call, retries included, to the end of the text."""


class ModelUnavailable(ContextBuilderError):
    """The model gave no whole reply; the reason is one line that says what to do."""

    def __init__(
        self, reason: str, partial_text: str = "", usage: Usage | None = None, *, refused: bool = False
    ) -> None:
        """`usage` of a reply that broke off is what was reported until then: the output is a lower bound.

        None: no reply had begun. Unless every attempt was `refused`, or never got through, the call may
        still be billed.
        """
        super().__init__(reason)
        self.reason = reason
        self.partial_text = partial_text
        self.usage = usage
        self.refused = refused


class ChatModel(Protocol):
    """A model that answers one prompt with one paid call."""

    @property
    def model(self) -> str:
        """Its id, as prices and the answer name it."""
        ...

    @property
    def max_output_tokens(self) -> int:
        """The most that a reply can be billed for as output."""
        ...

    def stream(self, prompt: Prompt) -> AsyncGenerator[Delta | Reply, None]:
        """Pieces of text as they arrive, then exactly one Reply; raises ModelUnavailable.

        Use it inside `contextlib.aclosing`, so that a caller who leaves early ends the call at once.
        """
        ...

    async def close(self) -> None:
        """Gives back the connections; no call may follow."""
        ...
