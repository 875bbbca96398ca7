"""`POST /v1/incidents/{incident_id}/postmortem`, with `/approve` and `/reject`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import quote

from fastapi import APIRouter, Response

from api.http.auth.guard import OPERATOR, GuardedRoute
from api.http.dependencies import AnswerSlot, RunningServices
from api.http.openapi import problems
from api.http.problem import Conflict
from api.http.schemas.bodies import DecisionBody
from api.services import Services
from context_builder.postmortems.writer import NothingToDo
from context_builder.queries import IncidentPostmortem, incident_postmortem, query_session
from context_builder.queries.incident_postmortem import require_resolved
from context_builder.text.clock import utc_now
from memory.maintenance import reviews
from memory.maintenance.reviews import Review

router = APIRouter(tags=["postmortems"], route_class=GuardedRoute, dependencies=[OPERATOR])

# Ids are whatever was recorded, slashes included.
_PATH = "/v1/incidents/{incident_id:path}/postmortem"
_DECISION_PROBLEMS = problems(400, 403, 404, 408, 413, 415, 422, 500, 503, 504)
_LOCATION = {"description": "URL of the postmortem.", "schema": {"type": "string"}}

Decide = Callable[..., Awaitable[tuple[Review, ...]]]


@router.post(
    _PATH,
    status_code=201,
    responses=problems(403, 404, 409, 415, 422, 500, 503, 504) | {201: {"headers": {"Location": _LOCATION}}},
    dependencies=[AnswerSlot],
)
async def write(incident_id: str, services: RunningServices, response: Response) -> IncidentPostmortem:
    """Write the postmortem of a resolved incident, with at most one model call.

    The result is a draft until somebody approves it. 409 if the incident is still active, if another run is
    writing it, if it already exists, or if the call does not fit under a cap of `GET /v1/spend`. 503 if the
    model or the database is unavailable.
    """
    async with query_session(services.database) as session:
        await require_resolved(session, incident_id)
    with services.database.connected():
        try:
            await services.postmortems.write(incident_id)
        except NothingToDo as error:
            raise Conflict(str(error)) from None
    services.answerer.builder.expire()
    response.headers["location"] = f"/v1/incidents/{quote(incident_id, safe='')}/postmortem"
    return await _stored(services, incident_id)


@router.post(f"{_PATH}/approve", responses=_DECISION_PROBLEMS)
async def approve(incident_id: str, body: DecisionBody, services: RunningServices) -> IncidentPostmortem:
    """Let memory recall the incident and its postmortem; the last decision wins."""
    return await _decided(services, incident_id, reviews.approve, body)


@router.post(f"{_PATH}/reject", responses=_DECISION_PROBLEMS)
async def reject(incident_id: str, body: DecisionBody, services: RunningServices) -> IncidentPostmortem:
    """Keep the incident and its postmortem out of memory; the last decision wins."""
    return await _decided(services, incident_id, reviews.reject, body)


async def _decided(
    services: Services, incident_id: str, decide: Decide, decision: DecisionBody
) -> IncidentPostmortem:
    # An incident without a postmortem is not found here, so nothing is decided about it.
    await _stored(services, incident_id)
    with services.database.connected():
        await decide(services.database, incident_id, by=decision.by, at=utc_now())
    services.answerer.builder.expire()
    return await _stored(services, incident_id)


async def _stored(services: Services, incident_id: str) -> IncidentPostmortem:
    async with query_session(services.database) as session:
        return await incident_postmortem(session, incident_id)
