"""`GET /v1/requests` and `GET /v1/requests/{request_id}`: the request log."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query

from api.http.auth.guard import VIEWER_OF_OWN, CurrentCaller, GuardedRoute
from api.http.auth.own_data import require_own
from api.http.dependencies import CallersView
from api.http.openapi import query_problems
from api.http.schemas.parameters import AsOfParameters, RequestParameters
from context_builder.queries import (
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
    parameters: Annotated[RequestParameters, Query()], caller: CurrentCaller, view: CallersView
) -> RequestPage:
    """List the newest requests, page by page; requests logged in the meantime do not shift the pages.

    A filter without an index, such as the tier alone, scans 5,000 requests per page: if few of them match,
    the page is short and `next` continues from there.
    """
    chosen = parameters.to(RequestFilter)
    if caller.user is not None:
        require_own(caller, chosen.users)
        chosen = replace(chosen, users=(caller.user,))
    return view.shown(await recent_requests(view.session, chosen, parameters.to(Page)))


# Ids are whatever was logged, slashes included.
@router.get("/v1/requests/{request_id:path}", responses=query_problems(404))
async def request(
    request_id: str, parameters: Annotated[AsOfParameters, Query()], view: CallersView
) -> RequestDetail:
    """Return one request: why it was routed there, its quality score, and the incident it fell into."""
    return view.shown(await request_detail(view.session, request_id, as_of=parameters.as_of))
