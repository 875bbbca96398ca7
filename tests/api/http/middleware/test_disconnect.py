"""Disconnecting cancels the work for a request, and nothing else does."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from api.http.middleware.disconnect import CancelOnDisconnect
from tests.support.patience import PATIENCE_S

SCOPE: Scope = {"type": "http"}


async def test_the_work_ends_when_the_client_leaves() -> None:
    """What runs for the client, such as a model call, is cancelled, and the server sees no error."""
    outcome: asyncio.Queue[str] = asyncio.Queue()
    messages: asyncio.Queue[Message] = asyncio.Queue()

    async def work(_scope: Scope, receive: Receive, _send: Send) -> None:
        await receive()
        messages.put_nowait({"type": "http.disconnect"})
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            outcome.put_nowait("cancelled")
            raise

    messages.put_nowait({"type": "http.request", "body": b"{}", "more_body": False})
    async with asyncio.timeout(PATIENCE_S):
        await CancelOnDisconnect(work)(SCOPE, messages.get, _discard)
        assert await outcome.get() == "cancelled"


async def test_a_timeout_of_the_work_is_its_own() -> None:
    """A TimeoutError that no disconnect caused is passed on."""

    async def work(_scope: Scope, receive: Receive, _send: Send) -> None:
        await receive()
        raise TimeoutError

    messages: asyncio.Queue[Message] = asyncio.Queue()
    messages.put_nowait({"type": "http.request", "body": b"", "more_body": False})
    with pytest.raises(TimeoutError):
        await CancelOnDisconnect(work)(SCOPE, messages.get, _discard)


async def _discard(_message: Message) -> None: ...
