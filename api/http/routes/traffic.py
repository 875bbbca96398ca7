"""`GET /v1/latency`, `/v1/quality` and `/v1/volume`: what requests of a window amount to."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.http.auth.guard import VIEWER, GuardedRoute
from api.http.dependencies import Session
from api.http.openapi import query_problems
from api.http.schemas.parameters import LatencyParameters, TrafficParameters
from context_builder.queries import (
    LatencyTrends,
    QualitySummary,
    RequestVolume,
    TrafficFilter,
    latency_trends,
    quality_summary,
    request_volume,
)

router = APIRouter(tags=["queries"], route_class=GuardedRoute, dependencies=[VIEWER])


@router.get("/v1/latency", responses=query_problems())
async def latency(parameters: Annotated[LatencyParameters, Query()], session: Session) -> LatencyTrends:
    """Return p50, p95 and p99 of the window, by default the last 24 hours, in total and by bucket."""
    return await latency_trends(session, parameters.to(TrafficFilter), bucket=parameters.bucket)


@router.get("/v1/quality", responses=query_problems())
async def quality(parameters: Annotated[TrafficParameters, Query()], session: Session) -> QualitySummary:
    """Return scores of the window, by default the last 7 days, in whole hours, with their coverage."""
    return await quality_summary(session, parameters.to(TrafficFilter))


@router.get("/v1/volume", responses=query_problems())
async def volume(parameters: Annotated[TrafficParameters, Query()], session: Session) -> RequestVolume:
    """Count requests of the window, by default the last 24 hours, by tier, model, backend and deployment."""
    return await request_volume(session, parameters.to(TrafficFilter))
