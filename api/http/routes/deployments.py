"""`GET /v1/deployments`: the status of each deployment."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.http.dependencies import Reading
from api.http.openapi import query_problems
from api.http.schemas.deployments import DeploymentPageBody, DeploymentParameters
from context_builder.queries import deployment_status

router = APIRouter(tags=["queries"])


@router.get("/v1/deployments", responses=query_problems())
async def deployments(
    parameters: Annotated[DeploymentParameters, Query()], session: Reading
) -> DeploymentPageBody:
    """What the last health report of each deployment says, and whether it can be believed."""
    page = await deployment_status(session, parameters.to_filter(), parameters.to_page())
    return DeploymentPageBody.model_validate(page)
