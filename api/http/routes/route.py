"""`POST /v1/route`: the routing decision for one request."""

from __future__ import annotations

from fastapi import APIRouter, Response

from api.http.dependencies import RunningServices
from api.http.json_body import to_json
from api.http.openapi import problems
from api.http.schemas.route import RouteBody
from api.routing import RouteAnswer, decide

router = APIRouter(tags=["routing"])


@router.post(
    "/v1/route", response_model=RouteAnswer, responses=problems(400, 403, 413, 415, 422, 500, 503, 504)
)
async def route(body: RouteBody, services: RunningServices) -> Response:
    """Return the deployment that a request should go to, with the reason and the alternatives.

    Reads the verdicts of the last tick: nothing is measured, forecast or read from the database for it.
    """
    answer = await decide(services, body.to_request())
    return Response(to_json(answer), media_type="application/json")
