"""Refuses bodies that are larger than any question."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 1_000_000


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
        # What is announced counts at once, so that nothing of a body that is too large is read.
        size = _announced(scope) if _announced(scope) > self._max_bytes else 0

        async def receive_within_limit() -> Message:
            nonlocal size
            message = await receive() if size <= self._max_bytes else {}
            size += len(message.get("body", b""))
            if size > self._max_bytes:
                limit = f"at most {self._max_bytes:,} bytes are accepted"
                raise HTTPException(413, f"the body is too large; {limit}")
            return message

        await self._app(scope, receive_within_limit, send)


def _announced(scope: Scope) -> int:
    length = Headers(scope=scope).get("content-length", "")
    try:
        return int(length)
    except ValueError:
        return 0
