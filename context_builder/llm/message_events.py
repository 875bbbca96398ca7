"""Assembles one reply from the stream events of the Messages API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from context_builder.errors import ContextBuilderError
from context_builder.llm.usage import Usage
from context_builder.text.sanitize import storable

_HANDLED = frozenset(
    {"message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop", "error"}
)


class MalformedStream(ContextBuilderError, ValueError):
    """The response is not a stream of the Messages API."""


class ErrorEvent(ContextBuilderError):
    """The API ended a reply with an error after it had begun."""


@dataclass(slots=True)
class Transcript:
    """The part of a reply that has arrived."""

    model: str = ""
    stop_reason: str = ""
    usage: Usage = field(default_factory=lambda: Usage(0, 0))
    accepted: bool = False
    """True once the API has begun a reply, which it bills."""
    done: bool = False
    pieces: list[str] = field(default_factory=list)

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> Transcript:
        """Parse a reply that arrived in one piece, as strictly as one in events.

        Raises:
            MalformedStream: The message does not have the expected fields.
        """
        transcript = cls()
        blocks, usage = message.get("content"), message.get("usage")
        if not isinstance(blocks, list):
            raise MalformedStream(f"unexpected content {blocks!r:.120}")
        transcript.add({"type": "message_start", "message": message})
        for block in blocks:
            transcript.add({"type": "content_block_start", "content_block": block})
        delta = {"stop_reason": message.get("stop_reason")}
        transcript.add({"type": "message_delta", "delta": delta, "usage": usage})
        transcript.add({"type": "message_stop"})
        return transcript

    @property
    def text(self) -> str:
        """The text received so far, without thinking and other blocks."""
        return "".join(self.pieces)

    def add(self, event: object) -> str:
        """Process one event and return the text that it adds.

        Events, blocks and deltas of other or unknown kinds add nothing.

        Raises:
            MalformedStream: The event does not have the expected fields.
            ErrorEvent: The API reports an error.
        """
        match event:
            case {"type": "content_block_delta", "delta": {"type": "text_delta", "text": str(text)}}:
                return self._append(text)
            case {"type": "content_block_start", "content_block": {"type": "text", "text": str(text)}}:
                return self._append(text)
            case {"type": "content_block_delta", "delta": {"type": str(kind)}} if kind != "text_delta":
                return ""
            case {"type": "content_block_start", "content_block": {"type": str(kind)}} if kind != "text":
                return ""
            case {"type": str(kind)} if kind not in _HANDLED:
                return ""
        self._advance(event)
        return ""

    def _advance(self, event: object) -> None:
        """Process an event about the reply as a whole."""
        match event:
            case {"type": "message_start", "message": {"model": str(model), "usage": dict(usage)}}:
                self.model = model
                self.usage = self._updated_usage(usage)
                self.accepted = True
            case {
                "type": "message_delta",
                "delta": {"stop_reason": str() | None as reason},
                "usage": dict(usage),
            }:
                self.stop_reason = reason or self.stop_reason
                self.usage = self._updated_usage(usage)
            case {"type": "message_stop"} if self.accepted and self.stop_reason:
                self.done = True
            case {"type": "error", "error": {"type": str(kind), **rest}}:
                raise ErrorEvent(f"{kind}: {rest.get('message', 'no message')}")
            case _:
                raise MalformedStream(f"unexpected event {event!r:.120}")

    def _append(self, text: str) -> str:
        text = storable(text)
        self.pieces.append(text)
        return text

    def _updated_usage(self, usage: Mapping[str, Any]) -> Usage:
        """Return the usage updated with cumulative counts; a missing count keeps its value."""
        return Usage(
            input_tokens=_count(usage, "input_tokens", self.usage.input_tokens),
            output_tokens=_count(usage, "output_tokens", self.usage.output_tokens),
            cache_read_tokens=_count(usage, "cache_read_input_tokens", self.usage.cache_read_tokens),
            cache_write_tokens=_count(usage, "cache_creation_input_tokens", self.usage.cache_write_tokens),
        )


def _count(usage: Mapping[str, Any], name: str, previous: int) -> int:
    value = usage.get(name)
    if value is None:
        return previous
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise MalformedStream(f"{name} is {value!r:.40}, not a number of tokens")
    return value
