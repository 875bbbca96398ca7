"""A Messages API on 127.0.0.1: the real wire format under the real SDK, with faults on demand.

In a test it runs in a thread of its own: `with MessagesApi() as api: ...`. For a subprocess there is
`python -m loopback.messages_api --port 8123`, with this file's parent folder on the path.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from loopback.behaviour import Behaviour, BreakOff, Cut, Fail, Garbage, Hang, Reply
from loopback.wire import ApiError, Message, PromptCache, checked, error_body, event, input_tokens

API_KEY = "sk-ant-api03-loopback-0123456789"
"""The only key that is accepted, unless another one is given."""

__all__ = ["API_KEY", "BreakOff", "Cut", "Fail", "Garbage", "Hang", "MessagesApi", "Recorded", "Reply"]

_MOST_BYTES = 32_000_000
_START_S = 10.0


@dataclass(frozen=True)
class Recorded:
    """One request as it arrived."""

    path: str
    headers: Mapping[str, str]
    """By lower-case name."""
    body: Any
    """As JSON; None: it was none."""
    at: float
    """On the monotonic clock."""


class BrokenConnection(Exception):
    """Raised inside a response, so that the server drops the connection."""


@dataclass
class Journal:
    """What has happened so far; written by the server's thread, read by any."""

    requests: list[Recorded] = field(default_factory=list)
    """All, those for counting tokens included."""
    open_streams: int = 0
    most_open_streams: int = 0
    disconnects: int = 0
    """Clients that left before they had the whole response."""


class EventStream(Response):
    """Streams until the client leaves, which it notices at once also between two pieces."""

    def __init__(self, parts: AsyncIterator[bytes], journal: Journal, headers: Mapping[str, str]) -> None:
        super().__init__(headers=dict(headers))
        del self.headers["content-length"]
        self._parts = parts
        self._journal = journal

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        journal = self._journal
        journal.open_streams += 1
        journal.most_open_streams = max(journal.most_open_streams, journal.open_streams)
        try:
            if not await finished_before_disconnect(self._send_all(send), receive):
                journal.disconnects += 1
        finally:
            journal.open_streams -= 1

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async for part in self._parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def finished_before_disconnect(work: Coroutine[Any, Any, None], receive: Receive) -> bool:
    """Runs the coroutine until it is done or the client has left; whether it got done."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnect(receive))
    await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
    done = working.done()
    for task in (working, leaving):
        task.cancel()
    if done:
        working.result()
    return done


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class MessagesApi:
    """The server: `script` what it does next, then look at its `journal`."""

    def __init__(self, *, api_key: str = API_KEY, port: int = 0) -> None:
        """Binds the port, 0 for a free one, and does not serve yet."""
        self.api_key = api_key
        self.reset()
        self._ids = count(1)
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            self._app(), log_config=None, log_level="critical", lifespan="off", http="h11", ws="none"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.serve, name="messages-api", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        patience = time.monotonic() + _START_S
        while not self._server.started:
            if time.monotonic() > patience or not self._thread.is_alive():
                raise RuntimeError("the loopback API did not start")
            time.sleep(0.002)
        return self

    def __exit__(self, *_: object) -> None:
        # Streams that still hang are dropped: a test that failed must not wait for them.
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()

    def serve(self) -> None:
        """Serves in this thread until the process or the context ends."""
        self._server.run(sockets=[self._socket])

    def reset(self) -> None:
        """Forgets everything, as if just started; streams that still run are not seen any more."""
        self.journal = Journal()
        self._script: deque[Behaviour] = deque()
        self._default: Behaviour = Reply()
        self._cache = PromptCache()

    def script(self, *behaviours: Behaviour) -> None:
        """What the next requests for a message get, one each; then it is the default's turn again."""
        self._script.extend(behaviours)

    def always(self, behaviour: Behaviour) -> None:
        """What every request gets that has no behaviour of its own in the script."""
        self._default = behaviour

    @property
    def messages(self) -> list[Recorded]:
        """The requests for a message, refused ones included, in order of arrival."""
        return [request for request in self.journal.requests if request.path == "/v1/messages"]

    async def until(self, condition: Callable[[Journal], bool], timeout_s: float = 5.0) -> None:
        """Returns when the journal meets the condition; raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while not condition(self.journal):  # noqa: ASYNC110 - an Event of this loop cannot be set by the server's
                await asyncio.sleep(0.005)

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/messages", self._messages, methods=["POST"]),
                Route("/v1/messages/count_tokens", self._count_tokens, methods=["POST"]),
                Route("/journal", self._show_journal),
            ],
            exception_handlers={ApiError: self._refuse},
        )

    async def _messages(self, request: Request) -> Response:
        journal = self.journal
        body = await self._accepted(request)
        behaviour = self._script.popleft() if self._script else self._default
        if isinstance(behaviour, Fail):
            return self._fail(behaviour)
        if isinstance(behaviour, Hang) and behaviour.after_pieces is None:
            waiting = asyncio.sleep(behaviour.seconds)
            if not await finished_before_disconnect(waiting, request.receive):
                journal.disconnects += 1
                raise ClientDisconnect
        message_id, request_id = self._new_id("msg"), self._new_id("req")
        reply = behaviour if isinstance(behaviour, Reply) else behaviour.reply
        message = Message.of(message_id, reply, body, self._cache)
        headers = {"request-id": request_id, "cache-control": "no-cache"}
        if not body.get("stream"):
            return JSONResponse(message.to_json(), headers=headers)
        headers["content-type"] = (
            behaviour.content_type if isinstance(behaviour, Garbage) else "text/event-stream; charset=utf-8"
        )
        return EventStream(_stream(message, behaviour, reply.delay_s), journal, headers)

    async def _count_tokens(self, request: Request) -> Response:
        body = await self._accepted(request, counting=True)
        return JSONResponse({"input_tokens": input_tokens(body)})

    async def _show_journal(self, _: Request) -> Response:
        """For tests that run the server as a process of its own."""
        requests = [{"path": seen.path, "body": seen.body} for seen in self.journal.requests]
        return JSONResponse({"requests": requests, "disconnects": self.journal.disconnects})

    async def _accepted(self, request: Request, *, counting: bool = False) -> dict[str, Any]:
        """The request's body, recorded and accepted; raises ApiError."""
        raw = await request.body()
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        self.journal.requests.append(
            Recorded(request.url.path, dict(request.headers), body, time.monotonic())
        )
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        key = request.headers.get("x-api-key") or (bearer if scheme.lower() == "bearer" else "")
        if key != self.api_key:
            raise ApiError(401, "invalid x-api-key" if key else "x-api-key header is required")
        if "anthropic-version" not in request.headers:
            raise ApiError(400, "anthropic-version: header is required")
        if len(raw) > _MOST_BYTES:
            raise ApiError(413, "Request exceeds the maximum size")
        if body is None:
            raise ApiError(400, "The request body is not valid JSON")
        return checked(body, counting=counting)

    def _fail(self, fail: Fail) -> Response:
        headers = {"request-id": self._new_id("req")} | dict(fail.headers)
        if fail.body is not None:
            return Response(fail.body, fail.status, headers, media_type="text/html")
        body = error_body(fail.status, fail.message, headers["request-id"], fail.kind)
        return JSONResponse(body, fail.status, headers)

    async def _refuse(self, _: Request, error: Exception) -> Response:
        if not isinstance(error, ApiError):
            raise error
        return self._fail(Fail(status=error.status, message=error.message))

    def _new_id(self, prefix: str) -> str:
        return f"{prefix}_{next(self._ids):024d}"


async def _stream(message: Message, behaviour: Behaviour, delay_s: float) -> AsyncIterator[bytes]:
    """The events of a message, with the behaviour's fault in its place."""
    fault_after = None if isinstance(behaviour, Reply | Fail) else behaviour.after_pieces
    if isinstance(behaviour, Garbage) and fault_after is None:
        yield behaviour.body
        return
    yield message.opening()
    pieces = 0
    closing = message.closing()
    for part, is_piece in [*message.content(), (closing, False)]:
        if fault_after is not None and ((is_piece and pieces == fault_after) or part is closing):
            fault_after = None
            ending = await _fault(behaviour)
            if ending is not None:
                yield ending
                return
        if is_piece:
            pieces += 1
            await asyncio.sleep(delay_s)
        yield part


async def _fault(behaviour: Behaviour) -> bytes | None:
    """Lets the fault happen; gives the stream's last bytes, or None where the stream goes on."""
    match behaviour:
        case Hang():
            await asyncio.sleep(behaviour.seconds)
            return None
        case BreakOff():
            error = {"type": behaviour.kind, "message": behaviour.message}
            return event("error", error=error)
        case Garbage():
            return behaviour.body
        case Cut(clean=True):
            return b""
        case _:
            raise BrokenConnection


def main() -> None:
    """Serves until it is stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--key", default=API_KEY, help="the key to accept")
    arguments = parser.parse_args()
    api = MessagesApi(api_key=arguments.key, port=arguments.port)
    print(f"listening on {api.url}", flush=True)  # noqa: T201 - the caller reads the address
    api.serve()


if __name__ == "__main__":
    main()
