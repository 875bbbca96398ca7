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
    """The complete reply, which ends the stream."""

    text: str
    stop_reason: str
    """As returned by the API; any value but `end_turn` means that the text is incomplete."""
    model: str
    """The model that wrote the reply; it can be a dated version of the requested one."""
    usage: Usage
    request_id: str | None
    """The API's id of the call, for its support."""
    first_token_ms: int | None
    """From the start of the call to the first text, in ms; None if there was no text."""
    latency_ms: int
    """From the start of the call, including retries, to the end of the text, in ms."""


class ModelUnavailable(ContextBuilderError):
    """The model returned no complete reply; the reason is one line that says what to do."""

    def __init__(
        self, reason: str, partial_text: str = "", usage: Usage | None = None, *, refused: bool = False
    ) -> None:
        """Store what is known about the failed call.

        `usage` is None if no reply had begun. For an interrupted reply it is the last reported usage, whose
        output tokens are a lower bound. `refused` is True if every attempt was refused or never sent, so that
        the call is not billed.
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
        """The model id, as used in price list and answer."""
        ...

    @property
    def max_output_tokens(self) -> int:
        """Upper limit of billed output, in tokens per reply."""
        ...

    def stream(self, prompt: Prompt) -> AsyncGenerator[Delta | Reply, None]:
        """Yield pieces of text as they arrive, then exactly one Reply.

        Use it inside `contextlib.aclosing`, so that leaving early ends the call at once.

        Raises:
            ModelUnavailable: There is no complete reply.
        """
        ...

    async def close(self) -> None:
        """Close the connections; no call may follow."""
        ...
