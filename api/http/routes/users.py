"""`GET /v1/users/{user_id}/context`: tier, budget and spend of a user."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.http.dependencies import Session
from api.http.openapi import query_problems
from api.http.schemas.parameters import AsOfParameters
from context_builder.queries import UserContext, user_context

router = APIRouter(tags=["queries"])


# Ids are whatever was logged, slashes included.
@router.get("/v1/users/{user_id:path}/context", responses=query_problems(404))
async def context(
    user_id: str, parameters: Annotated[AsOfParameters, Query()], session: Session
) -> UserContext:
    """Return a user's tier, the rest of today's budget, and recent requests and spend."""
    return await user_context(session, user_id, as_of=parameters.as_of)
