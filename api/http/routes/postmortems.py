"""`POST /v1/incidents/{incident_id}/postmortem`: written, and below it approved and rejected."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import quote

from fastapi import APIRouter, Depends, Response

from api.http.dependencies import RunningServices, require_json
from api.http.openapi import problems
from api.http.problem import Conflict
from api.http.schemas.postmortems import DecisionBody, PostmortemBody
from api.services import Services
from context_builder.postmortems.writer import NotWanted
from context_builder.queries import incident_postmortem, query_session
from context_builder.queries.incident_postmortem import require_resolved
from context_builder.text.clock import utc_now
from memory.maintenance import reviews
from memory.maintenance.reviews import Review

router = APIRouter(tags=["postmortems"])

# An id may hold slashes: it is whatever was recorded.
_PATH = "/v1/incidents/{incident_id:path}/postmortem"
Decide = Callable[..., Awaitable[tuple[Review, ...]]]
_LOCATION = {"description": "Where the postmortem is.", "schema": {"type": "string"}}


@router.post(
    _PATH,
    status_code=201,
    responses=problems(404, 409, 422, 500, 503, 504) | {201: {"headers": {"Location": _LOCATION}}},
)
async def write(incident_id: str, services: RunningServices, response: Response) -> PostmortemBody:
    """Has the postmortem of a resolved incident written, with at most one model call.

    It is a draft until somebody approves it. 409 while the incident is active, where another run is writing
    it, and where it is there already. 503 where the model or the database cannot be used.
    """
    async with query_session(services.database) as session:
        await require_resolved(session, incident_id)
    with services.database.connected():
        try:
            await services.postmortems.write(incident_id)
        except NotWanted as error:
            raise Conflict(str(error)) from None
    response.headers["location"] = f"/v1/incidents/{quote(incident_id, safe='')}/postmortem"
    return await _stored(services, incident_id)


@router.post(
    f"{_PATH}/approve",
    responses=problems(400, 404, 413, 415, 422, 500, 503, 504),
    dependencies=[Depends(require_json)],
)
async def approve(incident_id: str, body: DecisionBody, services: RunningServices) -> PostmortemBody:
    """Lets memory recall the incident and what its postmortem says; the last decision counts."""
    return await _decided(services, incident_id, reviews.approve, body)


@router.post(
    f"{_PATH}/reject",
    responses=problems(400, 404, 413, 415, 422, 500, 503, 504),
    dependencies=[Depends(require_json)],
)
async def reject(incident_id: str, body: DecisionBody, services: RunningServices) -> PostmortemBody:
    """Keeps the incident and what its postmortem says out of memory; the last decision counts."""
    return await _decided(services, incident_id, reviews.reject, body)


async def _decided(
    services: Services, incident_id: str, decide: Decide, decision: DecisionBody
) -> PostmortemBody:
    # Nothing is decided where there is nothing to show for it.
    await _stored(services, incident_id)
    with services.database.connected():
        await decide(services.database, incident_id, by=decision.by, at=utc_now())
    return await _stored(services, incident_id)


async def _stored(services: Services, incident_id: str) -> PostmortemBody:
    async with query_session(services.database) as session:
        return PostmortemBody.model_validate(await incident_postmortem(session, incident_id))
