"""`GET /v1/deployments`: the status of each deployment."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.http.auth.guard import VIEWER_OF_OWN, GuardedRoute
from api.http.dependencies import CallersView
from api.http.openapi import query_problems
from api.http.schemas.parameters import DeploymentParameters
from context_builder.queries import DeploymentFilter, DeploymentPage, Page, deployment_status

router = APIRouter(tags=["queries"], route_class=GuardedRoute, dependencies=[VIEWER_OF_OWN])


@router.get("/v1/deployments", responses=query_problems())
async def deployments(
    parameters: Annotated[DeploymentParameters, Query()], view: CallersView
) -> DeploymentPage:
    """List deployments with their last health report, and whether that report can still be trusted."""
    return view.shown(
        await deployment_status(view.session, parameters.to(DeploymentFilter), parameters.to(Page))
    )
