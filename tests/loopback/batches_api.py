"""The HTTP endpoints of a loopback Message Batches API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn, Protocol

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.loopback.batch_behaviour import Endpoint, Fault, Lost
from tests.loopback.batches import MAX_BYTES, Batches
from tests.loopback.behaviour import Cut, Fail, Garbage, Hang
from tests.loopback.event_stream import BrokenConnection, EventStream, Journal, finished_before_disconnect

_PATH = "/v1/messages/batches"


class Host(Protocol):
    """What the endpoints need of the server that they belong to."""

    url: str
    batches: Batches
    journal: Journal

    async def admitted(self, request: Request, *, most_bytes: int = ...) -> Any:
        """Records a request and gives its body, unless the API would refuse it; raises ApiError."""

    def failure(self, fail: Fail) -> Response:
        """A refusal as the API sends it."""


class BatchesApi:
    """The endpoints over the batches of one server."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def routes(self) -> list[Route]:
        """The endpoints, for a Starlette application."""
        one = f"{_PATH}/{{batch_id}}"
        return [
            Route(_PATH, self._endpoint(Endpoint.CREATE, self._create), methods=["POST"]),
            Route(one, self._endpoint(Endpoint.RETRIEVE, self._retrieve), methods=["GET"]),
            Route(f"{one}/results", self._endpoint(Endpoint.RESULTS, self._results), methods=["GET"]),
        ]

    def _endpoint(
        self, endpoint: Endpoint, handle: Callable[[Request, Any, Fault | None], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """The handler with the faults that are scripted for it."""

        async def answer(request: Request) -> Response:
            journal = self._host.journal
            body = await self._host.admitted(request, most_bytes=MAX_BYTES)
            fault = self._host.batches.fault(endpoint)
            if isinstance(fault, Fail):
                return self._host.failure(fault)
            if isinstance(fault, Hang) and not await finished_before_disconnect(
                asyncio.sleep(fault.seconds), request.receive
            ):
                journal.disconnects += 1
                raise ClientDisconnect
            response = await handle(request, body, fault)
            if isinstance(fault, Lost):
                await asyncio.sleep(fault.delay_s)
                drop(request)
            return response

        return answer

    async def _create(self, _: Request, body: Any, __: Fault | None) -> Response:
        batches = self._host.batches
        return JSONResponse(batches.to_json(batches.create(body), self._host.url))

    async def _retrieve(self, request: Request, _: Any, __: Fault | None) -> Response:
        batches = self._host.batches
        batch = batches.retrieve(request.path_params["batch_id"])
        return JSONResponse(batches.to_json(batch, self._host.url))

    async def _results(self, request: Request, _: Any, fault: Fault | None) -> Response:
        lines = self._host.batches.results(request.path_params["batch_id"])
        headers = {"content-type": "application/x-jsonl"}
        return EventStream(_lines(lines, fault), self._host.journal, headers)


async def _lines(lines: list[bytes], fault: Fault | None) -> AsyncIterator[bytes]:
    """The lines, until the fault."""
    whole = fault.after_pieces or 0 if isinstance(fault, Cut | Garbage) else len(lines)
    for line in lines[:whole]:
        yield line
    match fault:
        case Garbage(body=body):
            yield body
        case Cut(clean=False):
            # Half a line has arrived when it breaks.
            yield lines[whole][: len(lines[whole]) // 2]
            raise BrokenConnection


def drop(request: Request) -> NoReturn:
    """Breaks the connection without a response."""
    request.scope["connection"].abort()
    raise ClientDisconnect
