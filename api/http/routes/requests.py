"""`GET /v1/requests` and `GET /v1/requests/{request_id}`: the request log."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query

from api.http.auth.guard import VIEWER_OF_OWN, CurrentCaller, GuardedRoute
from api.http.auth.own_data import require_own
from api.http.dependencies import Session
from api.http.openapi import query_problems
from api.http.schemas.parameters import AsOfParameters, RequestParameters
from context_builder.queries import (
    NotFound,
    Page,
    RequestDetail,
    RequestFilter,
    RequestPage,
    recent_requests,
    request_detail,
)

router = APIRouter(tags=["queries"], route_class=GuardedRoute, dependencies=[VIEWER_OF_OWN])


@router.get("/v1/requests", responses=query_problems())
async def requests(
    parameters: Annotated[RequestParameters, Query()], caller: CurrentCaller, session: Session
) -> RequestPage:
    """List the newest requests, page by page; requests logged in the meantime do not shift the pages.

    A filter without an index, such as the tier alone, scans 5,000 requests per page: if few of them match,
    the page is short and `next` continues from there.
    """
    chosen = parameters.to(RequestFilter)
    if caller.user is not None:
        require_own(caller, chosen.users)
        chosen = replace(chosen, users=(caller.user,))
    return await recent_requests(session, chosen, parameters.to(Page))


# Ids are whatever was logged, slashes included.
@router.get("/v1/requests/{request_id:path}", responses=query_problems(404))
async def request(
    request_id: str, parameters: Annotated[AsOfParameters, Query()], caller: CurrentCaller, session: Session
) -> RequestDetail:
    """Return one request: why it was routed there, its quality score, and the incident it fell into."""
    if caller.user is None:
        return await request_detail(session, request_id, as_of=parameters.as_of)
    return await _own_detail(session, request_id, parameters, caller.user)


async def _own_detail(
    session: Session, request_id: str, parameters: AsOfParameters, user: str
) -> RequestDetail:
    """Return a request of a user. Raises NotFound, for one of somebody else as for one that never was."""
    unknown = NotFound(f"no request {request_id[:100]!r} of the user {user} is known")
    try:
        found = await request_detail(session, request_id, as_of=parameters.as_of)
    except NotFound:
        # The error names ids that are similar, of anybody.
        raise unknown from None
    if found.request.user != user:
        raise unknown
    # What people write about incidents may name others.
    return replace(found, incident=None)
