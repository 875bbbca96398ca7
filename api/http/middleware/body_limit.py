"""Refuses bodies that are larger than any question."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 1_000_000
_MAX_DISCARDED_BYTES = 20_000_000
"""How much of a refused body is still taken: most clients hear an answer only when they have sent all."""


class BodyLimit:
    """Counts a body while it is read: a client need not say its length, or can lie about it."""

    def __init__(self, app: ASGIApp, *, max_bytes: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request; whoever reads too much of its body gets an HTTPException."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        size = 0

        async def receive_within_limit() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._max_bytes:
                whole = await _discard_rest(message, receive)
                detail = f"the body is too large; at most {self._max_bytes:,} bytes are accepted"
                raise HTTPException(413, detail, headers={} if whole else {"connection": "close"})
            return message

        await self._app(scope, receive_within_limit, send)


async def _discard_rest(message: Message, receive: Receive) -> bool:
    """Reads what comes after a part of the body, within reason; whether that was all."""
    discarded = 0
    while message.get("more_body", False) and discarded < _MAX_DISCARDED_BYTES:
        message = await receive()
        discarded += len(message.get("body", b""))
    return not message.get("more_body", False)
