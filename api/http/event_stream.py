"""Streams the answer to a question as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.http.json_body import to_json
from api.http.problem import log_unexpected, problem_json, problem_of
from context_builder.answering import AnswerEvent
from context_builder.builder import BuiltContext
from context_builder.llm.chat_model import Delta

KEEP_ALIVE_S = 15.0
"""Interval between comments while there are no events: proxies close idle connections."""


class EventStream(Response):
    """Streams `context`, `delta` and `answer`, or `error` if something fails midway."""

    media_type = "text/event-stream"

    def __init__(
        self, request: Request, events: AsyncGenerator[AnswerEvent, None], first: AnswerEvent
    ) -> None:
        """`first` has already been taken from the events."""
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._request = request
        self._events = events
        self._first = first
        # Unbounded: replies are bounded, and a slow reader must not block the model's connection.
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send the response; cancelling it cancels the model call."""
        producer = asyncio.create_task(self._produce())
        producer.add_done_callback(lambda _: self._frames.put_nowait(None))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            while (frame := await self._next_frame()) is not None:
                await send({"type": "http.response.body", "body": frame, "more_body": True})
            # The status has been sent: only an event can still report an error.
            last = await self._error_frame(producer.exception())
            await send({"type": "http.response.body", "body": last, "more_body": False})
        finally:
            producer.cancel()
            await asyncio.wait([producer])

    async def _produce(self) -> None:
        self._frames.put_nowait(frame_of(self._first))
        async with aclosing(self._events) as events:
            async for event in events:
                self._frames.put_nowait(frame_of(event))

    async def _error_frame(self, error: BaseException | None) -> bytes:
        if not isinstance(error, Exception):
            return b""
        await log_unexpected(error, self._request)
        return format_sse_event(data_str=problem_json(problem_of(error, self._request)), event="error")

    async def _next_frame(self) -> bytes | None:
        try:
            async with asyncio.timeout(KEEP_ALIVE_S):
                return await self._frames.get()
        except TimeoutError:
            return KEEPALIVE_COMMENT


def frame_of(event: AnswerEvent) -> bytes:
    """Encode one event."""
    match event:
        case BuiltContext():
            return format_sse_event(data_str=to_json(event.manifest).decode(), event="context")
        case Delta():
            return format_sse_event(data_str=json.dumps({"text": event.text}), event="delta")
        case _:
            return format_sse_event(data_str=to_json(event).decode(), event="answer")
