"""`GET /v1/quality`: quality scores by model and task type."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.http.dependencies import Session
from api.http.openapi import query_problems
from api.http.schemas.parameters import TrafficParameters
from context_builder.queries import QualitySummary, TrafficFilter, quality_summary

router = APIRouter(tags=["queries"])


@router.get("/v1/quality", responses=query_problems())
async def quality(parameters: Annotated[TrafficParameters, Query()], session: Session) -> QualitySummary:
    """Return scores of the window, by default the last 7 days, in whole hours, with their coverage."""
    return await quality_summary(session, parameters.to(TrafficFilter))
