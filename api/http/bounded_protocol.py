"""Bounds what a client may send before the application sees a request: the server itself has no limit."""

from __future__ import annotations

from asyncio import BaseTransport, TimerHandle, Transport
from typing import Any, cast

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

MAX_HEAD_BYTES = 65_536
"""Of request line and headers; of trailers and extensions of chunks as well."""
HEAD_S = 20.0
"""Within which all headers have to come, from the first byte or the opening of the connection."""


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 whose headers are neither endless nor endlessly slow, nor come behind the body."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Take what the server gives to protocols."""
        super().__init__(*arguments, **named)
        self._unused_bytes = 0
        """Since the parser last began something, completed headers or found a piece of a body."""
        self._head_timer: TimerHandle | None = None

    @override
    def connection_made(self, transport: BaseTransport) -> None:
        # That of a socket; uvloop's derives from no class of asyncio.
        super().connection_made(cast("Transport", transport))
        self._await_head()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        self._unused_bytes += len(data)
        super().data_received(data)
        if self._unused_bytes > MAX_HEAD_BYTES:
            self._refuse(431, f"the headers are too large; at most {MAX_HEAD_BYTES:,} bytes are accepted")

    @override
    def on_message_begin(self) -> None:
        self._await_head()
        super().on_message_begin()

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head_timer is not None:  # else it is a trailer, which the server would add to the headers
            super().on_header(name, value)

    @override
    def on_headers_complete(self) -> None:
        self._stop_waiting()
        self._unused_bytes = 0
        super().on_headers_complete()

    @override
    def on_body(self, body: bytes) -> None:
        self._unused_bytes = 0
        super().on_body(body)

    def _await_head(self) -> None:
        self._stop_waiting()
        self._head_timer = self.loop.call_later(
            HEAD_S, self._refuse, 408, f"the headers did not come within {HEAD_S:g} s"
        )

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, status: int, detail: str) -> None:
        """Close the connection, with a response if none is under way."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            body = detail.encode()
            headers = f"content-type: text/plain\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            self.transport.write(STATUS_LINE[status] + headers.encode() + body)
        self.transport.close()
