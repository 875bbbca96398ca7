"""`GET /login`, its callback, and `POST /logout`: sessions of people with a browser."""

from __future__ import annotations

import re

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from api.http.auth.guard import OPEN, GuardedRoute
from api.http.auth.oidc import CALLBACK, IdentityProvider, LoginRefused, ProviderUnavailable
from api.http.auth.people import PeopleRoles
from api.http.auth.session import Sessions
from api.http.middleware.audit import trail_in
from models import AuditOutcome
from models.audit_chain import Act, Actor, AuditRecord

router = APIRouter(tags=["access"], include_in_schema=False, route_class=GuardedRoute, dependencies=[OPEN])

_OWN_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,1000}")
"""A path of this service: browsers read // and /\\ as the beginning of another host's address."""
_AFTER_LOGIN = "/docs"


@router.get("/login")
async def login(request: Request, next: str = _AFTER_LOGIN) -> Response:  # noqa: A002  as everywhere
    """Send the browser to the identity provider; `next` is the path to come back to."""
    if not _OWN_PATH.fullmatch(next):
        raise HTTPException(422, "next must be a path of this service, such as /docs")
    provider, sessions = _parts(request)
    try:
        url, attempt = await provider.begin(next)
    except ProviderUnavailable as error:
        raise HTTPException(503, str(error)) from None
    response = _redirect(url)
    sessions.remember(response, attempt)
    return response


@router.get(CALLBACK)
async def callback(request: Request) -> Response:
    """Take in a browser that comes back from the identity provider."""
    provider, sessions = _parts(request)
    attempt = sessions.attempt(request)
    try:
        name, groups = await provider.finish(request.query_params, attempt)
    except LoginRefused as error:
        raise HTTPException(403, str(error)) from None
    except ProviderUnavailable as error:
        raise HTTPException(503, str(error)) from None
    record = _record(name)
    try:
        PeopleRoles.of(request.app.state.settings).caller(name, groups)
    except HTTPException:
        trail_in(request.scope).put(_record(name, AuditOutcome.REFUSED))
        raise
    trail_in(request.scope).put(record)
    response = _redirect(attempt.next if attempt else _AFTER_LOGIN)
    sessions.begin(response, name, groups)
    return response


@router.post("/logout", status_code=204)
async def logout(request: Request) -> Response:
    """Forget the login in this browser; a copy of its cookie is good until it expires."""
    _, sessions = _parts(request)
    if caller := await sessions.caller_of(request):
        request.state.caller = caller
    response = Response(status_code=204)
    sessions.end(response)
    return response


def _parts(request: Request) -> tuple[IdentityProvider, Sessions]:
    state = request.app.state
    return state.identity_provider, state.sessions


def _redirect(url: str) -> Response:
    return RedirectResponse(url, 303, {"cache-control": "no-store", "referrer-policy": "no-referrer"})


def _record(name: str, outcome: AuditOutcome = AuditOutcome.DONE) -> AuditRecord:
    return AuditRecord(action="login", outcome=outcome, act=Act(lambda: Actor(f"person:{name}")))
