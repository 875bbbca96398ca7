"""`/v1/ingest` and `/v1/otlp`: what a gateway reports as it happens, and what is polled."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from starlette.requests import ClientDisconnect
from typing_extensions import override

from api.access.caller import Caller, Role
from api.access.errors import RateLimited
from api.http.auth.guard import VIEWER, GuardedRoute, Needs, declared
from api.http.dependencies import RunningServices, Session
from api.http.json_body import to_json
from api.http.openapi import problems, query_problems
from api.http.schemas.bodies import PollersBody
from api.ingest.errors import BodyTooSlow, IngestBusy
from api.ingest.live.ingestor import Envelope, Ingestor
from api.ingest.live.message import Receipt
from api.ingest.receivers import discover
from api.ingest.records import RECORD_TYPES
from context_builder.telemetry.polled.pollers import poller_reports
from context_builder.text.clock import utc_now


class _SignedOrKeyed(Needs):
    """Needs no key where the sender's secret is set: the ingestor has it proven once it has the body."""

    @override
    async def admit(self, request: Request) -> None:
        ingestor: Ingestor = request.app.state.ingestor
        name = request.path_params.get("name", _OTLP)
        if ingestor.has_secret_of(name):
            request.state.caller = Caller(name=f"sender:{name}", role=Role.INGEST)
            return
        try:
            await super().admit(request)
        except RateLimited as error:
            # Senders drop what is answered with 429, and send again what is answered with 503.
            raise IngestBusy(str(error), error.retry_after_s) from None


_OTLP = "otlp"
_INGEST = declared(_SignedOrKeyed(Role.INGEST))

router = APIRouter(tags=["ingest"], route_class=GuardedRoute, dependencies=[_INGEST])


pollers_router = APIRouter(tags=["ingest"], route_class=GuardedRoute, dependencies=[VIEWER])


@pollers_router.get("/v1/pollers", responses=query_problems())
async def pollers(services: RunningServices, session: Session) -> PollersBody:
    """Return what is polled, by whichever process leads: the last poll of each target, and the next one."""
    reason = services.settings.no_poll_reason if services.settings.poll_file else None
    return PollersBody(await poller_reports(session, utc_now()), reason)


_Name = Annotated[str, Path(json_schema_extra={"enum": [*RECORD_TYPES, *discover()]})]
_ITEM = {
    "id": "req_1",
    "created_at": "2026-11-20T09:00:00Z",
    "user": "user_acme",
    "tier": "premium",
    "model": "gpt-4",
    "backend": "aws",
    "status": "success",
    "latency_ms": 900,
    "endpoint": "/v1/chat/completions",
}
_SENT = {
    "application/json": {"schema": {}, "example": [_ITEM]},
    "application/x-ndjson": {"schema": {}, "example": json.dumps(_ITEM)},
}
"""Any JSON, since items are judged one by one; beside these there is what senders of other formats send."""


@router.post(
    "/v1/ingest/{name}",
    response_model=Receipt,
    responses=problems(400, 401, 403, 404, 409, 413, 415, 422, 503),
    openapi_extra={"requestBody": {"required": True, "content": _SENT}},
)
async def ingest(name: _Name, request: Request, about: str = "", key: str = "") -> Response:
    """Store what a gateway reports; `name` is a kind of record or a receiver.

    Kinds take a JSON array, one object, or one object on each line, plain or packed with gzip or zstd;
    receivers take what their senders send. The response comes after the commit, and is 200 also if items were
    rejected: sending them again would not help. With 503 nothing was stored; send it again after Retry-After.
    `about` names the backend that the posts of a sender are about, where they do not say it. `key` is the
    secret of a sender that can be given nothing but an address, as Statuspage; other names ignore it.
    """
    return await _received(request, Envelope(name=name, about=about, key=key, **_sent(request)))


@router.post("/v1/otlp/v1/{signal}", include_in_schema=False)
async def otlp(signal: str, request: Request) -> Response:
    """Store traces and logs that come over OTLP/HTTP."""
    return await _received(request, Envelope(name=_OTLP, topic=signal, **_sent(request)))


def _sent(request: Request) -> dict[str, Any]:
    return {"headers": dict(request.headers), "chunks": request.stream()}


async def _received(request: Request, envelope: Envelope) -> Response:
    ingestor: Ingestor = request.app.state.ingestor
    try:
        answer = await ingestor.receive(envelope)
    except BodyTooSlow:
        request.state.is_read = False
        raise
    except ClientDisconnect:
        # In the middle of its body: nobody reads this.
        return Response(status_code=400)
    if isinstance(answer, Receipt):
        return Response(to_json(answer), media_type="application/json")
    content, media_type = answer
    return Response(content, media_type=media_type)
