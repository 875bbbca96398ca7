"""`GET /v1/quality`: scores by model and task type."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.http.dependencies import Reading
from api.http.openapi import query_problems
from api.http.schemas.parameters import TrafficParameters
from api.http.schemas.quality import QualitySummaryBody
from context_builder.queries import quality_summary

router = APIRouter(tags=["queries"])


@router.get("/v1/quality", responses=query_problems())
async def quality(parameters: Annotated[TrafficParameters, Query()], session: Reading) -> QualitySummaryBody:
    """Scores of the window, by default the last 7 days, in whole hours, and how many requests have one."""
    return QualitySummaryBody.model_validate(await quality_summary(session, parameters.to_filter()))
