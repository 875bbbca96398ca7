"""`GET /v1/volume`: how many requests there were, and how many failed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.http.dependencies import Reading
from api.http.openapi import query_problems
from api.http.schemas.parameters import TrafficParameters
from api.http.schemas.volume import RequestVolumeBody
from context_builder.queries import request_volume

router = APIRouter(tags=["queries"])


@router.get("/v1/volume", responses=query_problems())
async def volume(parameters: Annotated[TrafficParameters, Query()], session: Reading) -> RequestVolumeBody:
    """Requests of the window, by default the last 24 hours, by tier, model, backend and deployment."""
    return RequestVolumeBody.model_validate(await request_volume(session, parameters.to_filter()))
