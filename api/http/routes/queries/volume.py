"""`GET /v1/volume`: request and failure counts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.http.dependencies import Session
from api.http.openapi import query_problems
from api.http.schemas.parameters import TrafficParameters
from context_builder.queries import RequestVolume, TrafficFilter, request_volume

router = APIRouter(tags=["queries"])


@router.get("/v1/volume", responses=query_problems())
async def volume(parameters: Annotated[TrafficParameters, Query()], session: Session) -> RequestVolume:
    """Count requests of the window, by default the last 24 hours, by tier, model, backend and deployment."""
    return await request_volume(session, parameters.to(TrafficFilter))
