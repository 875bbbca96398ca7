"""`GET /v1/latency`: how latency went, bucket by bucket."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.http.dependencies import Reading
from api.http.openapi import query_problems
from api.http.schemas.latency import LatencyParameters, LatencyTrendsBody
from context_builder.queries import latency_trends

router = APIRouter(tags=["queries"])


@router.get("/v1/latency", responses=query_problems())
async def latency(parameters: Annotated[LatencyParameters, Query()], session: Reading) -> LatencyTrendsBody:
    """p50, p95 and p99 of the window, by default the last 24 hours."""
    trends = await latency_trends(session, parameters.to_filter(), bucket=parameters.bucket)
    return LatencyTrendsBody.model_validate(trends)
