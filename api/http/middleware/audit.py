"""Names the caller in audit entries, and gives one to each request that could change something."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access.caller import LOOPBACK, Caller
from api.audit.trail import AuditTrail
from models import AuditOutcome
from models.audit_chain import Act, Actor, AuditRecord, acting

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_ACTIONS = {"query": "question", "write": "postmortem", "otlp": "ingest"}
"""Actions of endpoints that are named otherwise."""
_UNPROVEN = 401
"""Not recorded: anyone could fill the trail. The request log has them."""
_REFUSED = range(400, 500)
_BROKEN_OFF = 499
"""Status of a request whose client has gone, or whose response has not begun."""


class Audited:
    """Writes what became of a request whose work has written no entry of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] in _SAFE_METHODS:
            await self._app(scope, receive, send)
            return
        status = _BROKEN_OFF
        is_complete = False

        async def send_observed(message: Message) -> None:
            nonlocal status, is_complete
            status = message.get("status", status)
            await send(message)
            is_complete = message["type"] == "http.response.body" and not message.get("more_body", False)

        with acting(partial(actor_in, scope)) as act:
            try:
                await self._app(scope, receive, send_observed)
            except Exception:
                status = 500
                raise
            finally:
                if not act.is_recorded and (record := _record(scope, act, status, is_complete=is_complete)):
                    trail_in(scope).put(record)


def caller_in(scope: Scope) -> Caller:
    """Return who makes a request, as the middleware that checks callers found."""
    caller: Caller = scope.get("state", {}).get("caller", LOOPBACK)
    return caller


def actor_in(scope: Scope) -> Actor:
    """Return the caller as the audit trail names it."""
    caller = caller_in(scope)
    return Actor(caller.name, caller.key_id)


def trail_in(scope: Scope) -> AuditTrail:
    """Return the audit trail of the service."""
    trail: AuditTrail = scope["app"].state.services.audit
    return trail


def _record(scope: Scope, act: Act, status: int, *, is_complete: bool) -> AuditRecord | None:
    """Return the entry of a request; None for one that reached nothing, or came from nobody known."""
    route = scope.get("route")
    if status == _UNPROVEN or not isinstance(route, APIRoute):
        return None
    outcome = AuditOutcome.DONE if is_complete else AuditOutcome.FAILED
    if status in _REFUSED and status != _BROKEN_OFF:
        outcome = AuditOutcome.REFUSED
    elif status >= _REFUSED.stop:
        outcome = AuditOutcome.FAILED
    return AuditRecord(
        action=_ACTIONS.get(route.name, route.name),
        subject=_subject(scope),
        outcome=outcome,
        detail={"status": status},
        act=act,
    )


def _subject(scope: Scope) -> str:
    """Return the id in the path, which may be anything and so is redacted; empty if there is none."""
    parameters: dict[str, Any] = scope.get("path_params", {})
    redaction = scope["app"].state.services.answerer.builder.redaction
    return next((str(redaction(str(each)[:200])) for each in parameters.values()), "")
