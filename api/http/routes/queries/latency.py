"""`GET /v1/latency`: latency percentiles over time."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.http.dependencies import Session
from api.http.openapi import query_problems
from api.http.schemas.parameters import LatencyParameters
from context_builder.queries import LatencyTrends, TrafficFilter, latency_trends

router = APIRouter(tags=["queries"])


@router.get("/v1/latency", responses=query_problems())
async def latency(parameters: Annotated[LatencyParameters, Query()], session: Session) -> LatencyTrends:
    """Return p50, p95 and p99 of the window, by default the last 24 hours, in total and by bucket."""
    return await latency_trends(session, parameters.to(TrafficFilter), bucket=parameters.bucket)
