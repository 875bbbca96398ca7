"""`GET /v1/incidents`, with `/active` and `/{incident_id}/postmortem`: what was broken, what is, and why."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response

from api.http.accept import prefers
from api.http.dependencies import Reading
from api.http.openapi import query_problems
from api.http.schemas.incidents import (
    HistoryPageBody,
    HistoryParameters,
    IncidentPageBody,
    IncidentParameters,
)
from api.http.schemas.postmortems import PostmortemBody
from context_builder.queries import active_incidents, incident_history, incident_postmortem

router = APIRouter(tags=["queries"])

_MARKDOWN = "text/markdown"
_AS_MARKDOWN: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The postmortem; as a document where the Accept header asks for Markdown.",
        "content": {_MARKDOWN: {"schema": {"type": "string"}, "example": "# Postmortem: ...\n"}},
    }
}


@router.get("/v1/incidents", responses=query_problems())
async def history(parameters: Annotated[HistoryParameters, Query()], session: Reading) -> HistoryPageBody:
    """All incidents, the newest first, each with what became of it and whether it has a postmortem."""
    page = await incident_history(session, parameters.to_filter(), parameters.to_page())
    return HistoryPageBody.model_validate(page)


@router.get("/v1/incidents/active", responses=query_problems())
async def incidents(parameters: Annotated[IncidentParameters, Query()], session: Reading) -> IncidentPageBody:
    """The incidents that were going on; at a past moment, those that were resolved later, too."""
    page = await active_incidents(session, parameters.to_filter(), parameters.to_page())
    return IncidentPageBody.model_validate(page)


# An id may hold slashes: it is whatever was recorded.
@router.get(
    "/v1/incidents/{incident_id:path}/postmortem",
    response_model=PostmortemBody,
    responses=query_problems(404) | _AS_MARKDOWN,
)
async def postmortem(
    incident_id: str, session: Reading, accept: Annotated[str, Header(include_in_schema=False)] = ""
) -> Response:
    """The postmortem of an incident; with `Accept: text/markdown` the document alone."""
    found = await incident_postmortem(session, incident_id)
    if prefers(accept, _MARKDOWN):
        return Response(found.markdown, media_type=f"{_MARKDOWN}; charset=utf-8")
    return Response(PostmortemBody.model_validate(found).model_dump_json(), media_type="application/json")
