"""What a loopback API does with one request: reply, or one of the ways in which it fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Body = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A reply; each field left out is computed from the request."""

    text: str | Callable[[Body], str] | None = None
    """None cites the first facts of the prompt."""
    stop_reason: str | None = None
    """None is `end_turn`, or `max_tokens` where the text had to be cut to the request's max_tokens."""
    usage: Mapping[str, int] | None = None
    """Fields of the API's usage object that win over the computed ones."""
    model: str | None = None
    thinking: str = ""
    """Thinking that comes before the text, in a block of its own."""
    piece_length: int = 24
    """Characters per text delta."""
    delay_s: float = 0.0
    """Pause before each text delta."""


@dataclass(frozen=True, kw_only=True)
class Fail:
    """An HTTP error with the API's JSON body, or with another body."""

    status: int
    kind: str | None = None
    """The error type; None takes the one that belongs to the status."""
    message: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """Sent as it is, as HTML, the way a proxy in between would."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """The connection breaks after some text deltas."""

    after_pieces: int
    reply: Reply = Reply()
    clean: bool = False
    """Ends the HTTP body as it should, only too early, instead of breaking the connection."""


@dataclass(frozen=True, kw_only=True)
class Hang:
    """Nothing more for a while; then the rest as usual."""

    seconds: float
    after_pieces: int | None = None
    """None hangs before the response's headers."""
    reply: Reply = Reply()


@dataclass(frozen=True, kw_only=True)
class BreakOff:
    """An `error` event inside a stream that began well."""

    after_pieces: int
    kind: str = "overloaded_error"
    message: str = "Overloaded"
    reply: Reply = Reply()


@dataclass(frozen=True, kw_only=True)
class Garbage:
    """Status 200 and a body that is no Messages stream, after some proper text deltas."""

    body: bytes = b"event: message_start\ndata: {not JSON\n\n"
    content_type: str = "text/event-stream; charset=utf-8"
    after_pieces: int | None = None
    """None sends nothing but the garbage."""
    reply: Reply = Reply()


Behaviour = Reply | Fail | Cut | Hang | BreakOff | Garbage
