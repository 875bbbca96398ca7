"""`POST /v1/route`: the routing decision for one request."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.http.auth.guard import VIEWER, GuardedRoute
from api.http.dependencies import Load, RunningServices
from api.http.json_body import to_json
from api.http.openapi import problems
from api.http.schemas.route import RouteBody
from api.http.worker_load import asker_of
from api.routing import RouteAnswer, audit_route, decide, explained, wants_model

router = APIRouter(tags=["routing"], route_class=GuardedRoute, dependencies=[VIEWER])


@router.post(
    "/v1/route", response_model=RouteAnswer, responses=problems(400, 403, 408, 413, 415, 422, 500, 503, 504)
)
async def route(body: RouteBody, request: Request, load: Load, services: RunningServices) -> Response:
    """Return the deployment that a request should go to, with the reason and the alternatives.

    Reads the verdicts of the last tick: nothing is measured, forecast or read from the database for it. With
    `explain`, or below the configured confidence, one model call chooses among what the policy allows; where
    it cannot, `not_explained` says why and the policy's decision stands.
    """
    decision, answer = await decide(services, body.to_request())
    if wants_model(services, answer, explain=body.explain):
        asker = asker_of(request)
        async with load.answers.slot(asker):
            answer = await explained(services, decision, answer, load.builds.slot(asker))
    audit_route(services, answer)
    return Response(to_json(answer), media_type="application/json")
