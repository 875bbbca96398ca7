"""`GET /v1/incidents/active`: what is broken."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.dependencies import Reading
from api.openapi import query_problems
from api.schemas.incidents import IncidentPageBody, IncidentParameters
from context_builder.queries import active_incidents

router = APIRouter(tags=["queries"])


@router.get("/v1/incidents/active", responses=query_problems())
async def incidents(parameters: Annotated[IncidentParameters, Query()], session: Reading) -> IncidentPageBody:
    """The incidents that were going on; at a past moment, those that were resolved later, too."""
    page = await active_incidents(session, parameters.to_filter(), parameters.to_page())
    return IncidentPageBody.model_validate(page)
