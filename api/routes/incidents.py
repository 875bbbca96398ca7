"""`GET /v1/incidents` and `GET /v1/incidents/active`: what was broken, and what is."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.dependencies import Reading
from api.openapi import query_problems
from api.schemas.incidents import (
    HistoryPageBody,
    HistoryParameters,
    IncidentPageBody,
    IncidentParameters,
)
from context_builder.queries import active_incidents, incident_history

router = APIRouter(tags=["queries"])


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
