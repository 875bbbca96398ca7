"""A Messages API on 127.0.0.1: the real wire format under the real SDK, with faults on demand.

In a test it runs in a thread of its own: `with MessagesApi() as api: ...`. For a subprocess there is
`python -m tests.loopback.messages_api --port 8123`, with this file's parent folder on the path.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.loopback.batches import Batches
from tests.loopback.batches_api import BatchesApi
from tests.loopback.behaviour import Behaviour, BreakOff, Cut, Fail, Garbage, Hang, Reply
from tests.loopback.event_stream import (
    BrokenConnection,
    EventStream,
    Journal,
    Recorded,
    finished_before_disconnect,
)
from tests.loopback.wire import (
    MODELS,
    ApiError,
    Message,
    PromptCache,
    checked,
    error_body,
    event,
    input_tokens,
    model_info,
)
from tests.support.patience import PATIENCE_S

API_KEY = "sk-ant-api03-loopback-0123456789"
"""The only key that is accepted, unless another one is given."""

__all__ = ["API_KEY", "BreakOff", "Cut", "Fail", "Garbage", "Hang", "MessagesApi", "Recorded", "Reply"]

_MAX_BYTES = 32_000_000
_START_S = PATIENCE_S


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
        self._socket.listen()  # who reads the address may connect before it is served
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
        self.batches = Batches()
        """Those of the Message Batches API, with what becomes of them."""

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

    async def until(self, condition: Callable[[Journal], bool], timeout_s: float = 30.0) -> None:
        """Returns when the journal meets the condition; raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while not condition(self.journal):  # noqa: ASYNC110 - an Event of this loop cannot be set by the server's
                await asyncio.sleep(0.005)

    def _app(self) -> ASGIApp:
        return _with_connection(self._endpoints())

    def _endpoints(self) -> Starlette:
        return Starlette(
            routes=[
                *BatchesApi(self).routes(),
                Route("/v1/messages", self._messages, methods=["POST"]),
                Route("/v1/messages/count_tokens", self._count_tokens, methods=["POST"]),
                Route("/v1/models", self._list_models, methods=["GET"]),
                Route("/v1/models/{model}", self._show_model, methods=["GET"]),
                Route("/journal", self._show_journal),
            ],
            exception_handlers={ApiError: self._refuse},
        )

    async def _messages(self, request: Request) -> Response:
        journal = self.journal
        body = await self._accepted(request)
        behaviour = self._script.popleft() if self._script else self._default
        if isinstance(behaviour, Fail):
            return self.failure(behaviour)
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

    async def _list_models(self, request: Request) -> Response:
        await self.admitted(request)
        query = request.query_params
        start = MODELS.index(query["after_id"]) + 1 if "after_id" in query else 0
        page = MODELS[start : start + int(query.get("limit", 20))]
        has_more = start + len(page) < len(MODELS)
        listed = {"data": [model_info(name) for name in page], "has_more": has_more}
        return JSONResponse(listed | {"first_id": page[0], "last_id": page[-1]})

    async def _show_model(self, request: Request) -> Response:
        await self.admitted(request)
        name = request.path_params["model"]
        if name not in MODELS:
            raise ApiError(404, f"model: {name}")
        return JSONResponse(model_info(name))

    async def _show_journal(self, _: Request) -> Response:
        """For tests that run the server as a process of its own."""
        requests = [{"path": seen.path, "body": seen.body} for seen in self.journal.requests]
        return JSONResponse({"requests": requests, "disconnects": self.journal.disconnects})

    async def _accepted(self, request: Request, *, counting: bool = False) -> dict[str, Any]:
        """The body of a request for one message, recorded and accepted; raises ApiError."""
        return checked(await self.admitted(request), counting=counting)

    async def admitted(self, request: Request, *, most_bytes: int = _MAX_BYTES) -> Any:
        """Records a request and gives its body, unless the API would refuse it; raises ApiError."""
        raw = await request.body()
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        self.journal.requests.append(
            Recorded(request.url.path, dict(request.headers), body, time.monotonic(), request.method)
        )
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        key = request.headers.get("x-api-key") or (bearer if scheme.lower() == "bearer" else "")
        if key != self.api_key:
            raise ApiError(401, "invalid x-api-key" if key else "x-api-key header is required")
        if "anthropic-version" not in request.headers:
            raise ApiError(400, "anthropic-version: header is required")
        if len(raw) > most_bytes:
            raise ApiError(413, "Request exceeds the maximum size")
        if raw and body is None:
            raise ApiError(400, "The request body is not valid JSON")
        return body

    def failure(self, fail: Fail) -> Response:
        """A refusal as the API sends it."""
        headers = {"request-id": self._new_id("req")} | dict(fail.headers)
        if fail.body is not None:
            return Response(fail.body, fail.status, headers, media_type="text/html")
        body = error_body(fail.status, fail.message, headers["request-id"], fail.kind)
        return JSONResponse(body, fail.status, headers)

    async def _refuse(self, _: Request, error: Exception) -> Response:
        if not isinstance(error, ApiError):
            raise error
        return self.failure(Fail(status=error.status, message=error.message))

    def _new_id(self, prefix: str) -> str:
        return f"{prefix}_{next(self._ids):024d}"


def _with_connection(app: ASGIApp) -> ASGIApp:
    """Hands the connection itself to the endpoints, which no part of ASGI does, so that they can break it."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        scope["connection"] = send.__self__.transport  # type: ignore[attr-defined]
        await app(scope, receive, send)

    return serve


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
