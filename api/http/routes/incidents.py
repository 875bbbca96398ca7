"""`GET /v1/incidents`, with `/active` and `/{incident_id}/postmortem`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response

from api.http.accept import prefers
from api.http.auth.guard import VIEWER, GuardedRoute
from api.http.dependencies import Session
from api.http.json_body import to_json
from api.http.openapi import query_problems
from api.http.schemas.parameters import HistoryParameters, IncidentParameters
from context_builder.queries import (
    HistoryFilter,
    HistoryPage,
    IncidentFilter,
    IncidentPage,
    IncidentPostmortem,
    Page,
    active_incidents,
    incident_history,
    incident_postmortem,
)

router = APIRouter(tags=["queries"], route_class=GuardedRoute, dependencies=[VIEWER])

_MARKDOWN = "text/markdown"
_AS_MARKDOWN: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The postmortem; a Markdown document if the Accept header prefers it.",
        "content": {_MARKDOWN: {"schema": {"type": "string"}, "example": "# Postmortem: ...\n"}},
    }
}


@router.get("/v1/incidents", responses=query_problems())
async def history(parameters: Annotated[HistoryParameters, Query()], session: Session) -> HistoryPage:
    """List all incidents, newest first, with their outcome and the status of their postmortem."""
    return await incident_history(session, parameters.to(HistoryFilter), parameters.to(Page))


@router.get("/v1/incidents/active", responses=query_problems())
async def incidents(parameters: Annotated[IncidentParameters, Query()], session: Session) -> IncidentPage:
    """List active incidents; with `as_of`, also those that were resolved later."""
    return await active_incidents(session, parameters.to(IncidentFilter), parameters.to(Page))


# Ids are whatever was recorded, slashes included.
@router.get(
    "/v1/incidents/{incident_id:path}/postmortem",
    response_model=IncidentPostmortem,
    responses=query_problems(404) | _AS_MARKDOWN,
)
async def postmortem(
    incident_id: str, session: Session, accept: Annotated[str, Header(include_in_schema=False)] = ""
) -> Response:
    """Return the postmortem of an incident; with `Accept: text/markdown`, only the document."""
    found = await incident_postmortem(session, incident_id)
    if prefers(accept, _MARKDOWN):
        return Response(found.markdown, media_type=f"{_MARKDOWN}; charset=utf-8")
    return Response(to_json(found), media_type="application/json")
