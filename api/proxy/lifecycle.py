"""The states of a proxied request: what may follow what, and exactly one end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from context_builder.text.clock import utc_now


class State(StrEnum):
    """Where a request is; those of ENDS are final."""

    RECEIVED = "received"
    AUTHENTICATED = "authenticated"
    """Its credential has been turned into a digest, and a user if one is known."""
    PARSED = "parsed"
    """Its body has been read and decoded."""
    REWRITTEN = "rewritten"
    """What was changed in it has been decided; often nothing."""
    FORWARDING = "forwarding"
    """Sent to an upstream; entered again for each attempt."""
    STREAMING = "streaming"
    RESPONDING = "responding"
    COMPLETED = "completed"
    CACHE_HIT = "cache_hit"
    """An answer that was given before was given again; no upstream was asked."""
    UPSTREAM_ERROR = "upstream_error"
    """The upstream could not be reached, answered with an error, or with nothing that is an answer."""
    STREAM_ERROR = "stream_error"
    """The upstream reported an error within a stream."""
    TRUNCATED = "truncated"
    """The upstream's answer ended before it was complete."""
    CLIENT_GONE = "client_gone"
    REJECTED = "rejected"
    """Refused by the proxy because of what the client sent."""
    PROXY_ERROR = "proxy_error"
    """The proxy itself failed."""


ENDS = frozenset(
    {
        State.COMPLETED,
        State.CACHE_HIT,
        State.UPSTREAM_ERROR,
        State.STREAM_ERROR,
        State.TRUNCATED,
        State.CLIENT_GONE,
        State.REJECTED,
        State.PROXY_ERROR,
    }
)
_ALWAYS = frozenset({State.CLIENT_GONE, State.PROXY_ERROR})
"""May follow every state that is not final."""
_NEXT: Mapping[State, frozenset[State]] = {
    State.RECEIVED: frozenset({State.AUTHENTICATED, State.REJECTED}),
    # Bodies that are not conversations are passed on while they are read.
    State.AUTHENTICATED: frozenset({State.PARSED, State.FORWARDING, State.REJECTED}),
    State.PARSED: frozenset({State.REWRITTEN}),
    State.REWRITTEN: frozenset({State.FORWARDING, State.CACHE_HIT, State.REJECTED}),
    State.FORWARDING: frozenset({State.FORWARDING, State.STREAMING, State.RESPONDING, State.UPSTREAM_ERROR}),
    State.STREAMING: frozenset({State.COMPLETED, State.STREAM_ERROR, State.TRUNCATED}),
    State.RESPONDING: frozenset({State.COMPLETED, State.UPSTREAM_ERROR, State.TRUNCATED}),
}
_ALLOWED: Mapping[State, frozenset[State]] = {
    state: frozenset() if state in ENDS else _NEXT[state] | _ALWAYS for state in State
}


class Transition(NamedTuple):
    """One step of a request."""

    state: State
    after_ms: float
    """Milliseconds since the request was received."""
    detail: str = ""


class Lifecycle:
    """The steps of one request; a step that may not follow raises ValueError."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self.received_at: datetime = utc_now()
        self.transitions: list[Transition] = [Transition(State.RECEIVED, 0.0)]

    @property
    def state(self) -> State:
        """Return the current state."""
        return self.transitions[-1].state

    @property
    def ended(self) -> bool:
        """Return True once the state is final."""
        return self.state in ENDS

    def after_ms(self) -> float:
        """Return the milliseconds since the request was received."""
        return round((time.perf_counter() - self._started) * 1000, 3)

    def enter(self, state: State, detail: str = "") -> None:
        """Take a step. Raises ValueError if it may not follow the current state."""
        allowed = _ALLOWED[self.state]
        if state not in allowed:
            accepted = ", ".join(sorted(allowed)) or "nothing, it is final"
            raise ValueError(f"{state} does not follow {self.state}; accepted: {accepted}")
        self.transitions.append(Transition(state, self.after_ms(), detail))
