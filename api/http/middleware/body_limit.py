"""Refuses bodies that are larger or slower than any question's; live ingestion has bounds of its own."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 1_000_000
INGEST_PATHS = ("/v1/ingest/", "/v1/otlp/")
"""Paths that bound their bodies themselves, and that programs post to in formats of their own."""
READ_S = 60.0
"""Within which a body has to come."""
_MAX_DISCARDED_BYTES = 20_000_000
"""Of a refused body that are still read: most clients read the response only after sending everything."""


class BodyLimit:
    """Counts bytes as they are read: Content-Length can be missing or wrong."""

    def __init__(self, app: ASGIApp, *, max_bytes: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; reading too large a body raises HTTPException with status 413."""
        if scope["type"] != "http" or scope["path"].startswith(INGEST_PATHS):
            await self._app(scope, receive, send)
            return
        size, is_whole, ends_s = 0, False, _ends_s()

        async def receive_within_limit() -> Message:
            nonlocal size, is_whole
            if is_whole:
                return await receive()
            try:
                async with asyncio.timeout_at(ends_s):
                    message = await receive()
            except TimeoutError:
                detail = f"the body did not come within {READ_S:g} s"
                raise HTTPException(408, detail, headers={"connection": "close"}) from None
            is_whole = not message.get("more_body", False)
            size += len(message.get("body", b""))
            if size > self._max_bytes:
                complete = is_whole or await discard_body(receive)
                detail = f"the body is too large; at most {self._max_bytes:,} bytes are accepted"
                raise HTTPException(413, detail, headers={} if complete else {"connection": "close"})
            return message

        await self._app(scope, receive_within_limit, send)


async def discard_body(receive: Receive) -> bool:
    """Read the rest of a body up to limits. Returns True if it was read to its end."""
    discarded = 0
    with suppress(TimeoutError):
        async with asyncio.timeout_at(_ends_s()):
            while discarded < _MAX_DISCARDED_BYTES:
                message = await receive()
                discarded += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return True
    return False


def _ends_s() -> float:
    return asyncio.get_running_loop().time() + READ_S
