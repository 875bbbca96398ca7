"""`GET /v1/requests` and `GET /v1/requests/{request_id}`: the request log."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.http.dependencies import Session
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

router = APIRouter(tags=["queries"])


@router.get("/v1/requests", responses=query_problems())
async def requests(parameters: Annotated[RequestParameters, Query()], session: Session) -> RequestPage:
    """List the newest requests, page by page; requests logged in the meantime do not shift the pages.

    A filter without an index, such as the tier alone, scans 5,000 requests per page: if few of them match,
    the page is short and `next` continues from there.
    """
    return await recent_requests(session, parameters.to(RequestFilter), parameters.to(Page))


# Ids are whatever was logged, slashes included.
@router.get("/v1/requests/{request_id:path}", responses=query_problems(404))
async def request(
    request_id: str, parameters: Annotated[AsOfParameters, Query()], session: Session
) -> RequestDetail:
    """Return one request: why it was routed there, its quality score, and the incident it fell into."""
    return await request_detail(session, request_id, as_of=parameters.as_of)
