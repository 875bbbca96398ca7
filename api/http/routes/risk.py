"""`GET /v1/risk` and its events: the state of the routing policy, and how it changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from api.http.auth.guard import VIEWER, GuardedRoute
from api.http.dependencies import RunningServices
from api.http.event_stream import KEEP_ALIVE_S
from api.http.json_body import to_json
from api.http.openapi import events, problems
from api.http.schemas.risk import RiskBody, risk_body
from api.risk_ticker import RiskTicker

router = APIRouter(tags=["routing"], route_class=GuardedRoute, dependencies=[VIEWER])

EVENTS_S = 30.0
"""After so long a stream ends, and a client connects again: a service that stops waits for open streams."""
_EVENT = """event: risk
data: {"as_of": "2026-11-20T08:00:00Z", "age_s": 0.0, "shadow": true, ...}
"""


@router.get("/v1/risk", response_model=RiskBody, responses=problems(500, 503, 504))
async def risk(services: RunningServices) -> Response:
    """Return what the policy does about each deployment, and what is expected of it within 5 minutes."""
    await services.risk.current()
    return Response(_body(services.risk), media_type="application/json")


@router.get(
    "/v1/risk/events",
    response_class=StreamingResponse,
    responses=problems(500, 503, 504) | events("Server-sent events.", _EVENT),
)
async def risk_events(services: RunningServices) -> StreamingResponse:
    """Send an event `risk`, with the JSON of `GET /v1/risk`, now and after each tick, for 30 seconds."""
    await services.risk.current()
    return StreamingResponse(
        _events(services.risk),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _events(ticker: RiskTicker) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    ends_s = loop.time() + EVENTS_S
    while True:
        number = ticker.board.table.number
        yield format_sse_event(data_str=_body(ticker).decode(), event="risk")
        while ticker.board.table.number <= number:
            left_s = ends_s - loop.time()
            if left_s <= 0:
                return
            try:
                async with asyncio.timeout(min(left_s, KEEP_ALIVE_S)):
                    await ticker.next_after(number)
            except TimeoutError:
                yield KEEPALIVE_COMMENT


def _body(ticker: RiskTicker) -> bytes:
    table, age_s = ticker.board.read()
    return to_json(risk_body(table, age_s, failure=ticker.failure, refusal=ticker.refusal))
