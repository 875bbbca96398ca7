"""`GET /v1/requests` and `GET /v1/requests/{request_id}`: the request log."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.http.dependencies import Reading
from api.http.openapi import query_problems
from api.http.schemas.requests import MomentParameters, RequestDetailBody, RequestPageBody, RequestParameters
from context_builder.queries import recent_requests, request_detail

router = APIRouter(tags=["queries"])


@router.get("/v1/requests", responses=query_problems())
async def requests(parameters: Annotated[RequestParameters, Query()], session: Reading) -> RequestPageBody:
    """The newest requests, page by page; requests that are logged meanwhile do not disturb the pages.

    What no index serves, such as the tier alone, is looked for among 5,000 requests for each page: where few
    of them match, the page is short, and the next one goes on.
    """
    page = await recent_requests(session, parameters.to_filter(), parameters.to_page())
    return RequestPageBody.model_validate(page)


# An id may hold slashes: it is whatever was logged.
@router.get("/v1/requests/{request_id:path}", responses=query_problems(404))
async def request(
    request_id: str, parameters: Annotated[MomentParameters, Query()], session: Reading
) -> RequestDetailBody:
    """One request: why it was routed there, how good it was, and which incident it fell into."""
    detail = await request_detail(session, request_id, as_of=parameters.as_of)
    return RequestDetailBody.model_validate(detail)
