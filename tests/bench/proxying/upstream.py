"""An upstream for the proxy bench, in a process of its own: answers at once, and as little as a message is.

It and the bare pass-through cost as little as they can, so that what is measured is the proxy.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import uvicorn
import uvloop
from typing_extensions import override

from tests.loopback.raw_upstream import chunk
from tests.support.proxied_streams import STREAM

MESSAGE = (
    b'{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-5-5","content":'
    b'[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","stop_sequence":null,'
    b'"usage":{"input_tokens":3,"output_tokens":1}}'
)
_WHOLE = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(MESSAGE)
    + MESSAGE
)
_STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    + b"".join(chunk(event + b"\n\n") for event in STREAM.split(b"\n\n")[:-1])
    + b"0\r\n\r\n"
)


class Answering(asyncio.Protocol):
    """Answers requests with a Content-Length; a stream if the body asks for one near its start."""

    def __init__(self) -> None:
        self._got = bytearray()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    @override
    def data_received(self, data: bytes) -> None:
        self._got += data
        head, separator, _ = self._got.partition(b"\r\n\r\n")
        if not separator:
            return
        _, found, rest = head.lower().partition(b"content-length: ")
        size = int(rest.partition(b"\r\n")[0]) if found else 0
        whole = len(head) + 4 + size
        if len(self._got) >= whole:
            is_stream = b'"stream":true' in self._got[len(head) : len(head) + 100]
            del self._got[:whole]
            self._transport.write(_STREAM if is_stream else _WHOLE)


def pass_through(upstream: str) -> Any:
    """Return an ASGI application that forwards and does nothing else."""
    sessions: list[aiohttp.ClientSession] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if not sessions:
            sessions.append(aiohttp.ClientSession(auto_decompress=False))
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        headers = [(name.decode(), value.decode()) for name, value in scope["headers"] if name != b"host"]
        async with sessions[0].post(
            f"{upstream}{scope['path']}", data=_reader(body), headers=headers
        ) as answer:
            kept = [(k, v) for k, v in answer.raw_headers if k.lower() != b"transfer-encoding"]
            await send({"type": "http.response.start", "status": answer.status, "headers": kept})
            async for part in answer.content.iter_any():
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return app


async def _reader(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    """Serve on a port; with the URL of an upstream as second argument, forward to it."""
    port, *upstream = sys.argv[1:]
    if upstream:
        uvicorn.run(
            pass_through(upstream[0]), port=int(port), lifespan="off", log_level="critical", loop="uvloop"
        )
    else:
        uvloop.run(_serve(int(port)))


if __name__ == "__main__":
    main()
