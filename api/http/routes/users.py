"""`GET /v1/users/{user_id}/context`: what is known of a user."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.http.dependencies import Reading
from api.http.openapi import query_problems
from api.http.schemas.requests import MomentParameters
from api.http.schemas.users import UserContextBody
from context_builder.queries import user_context

router = APIRouter(tags=["queries"])


# An id may hold slashes: it is whatever was logged.
@router.get("/v1/users/{user_id:path}/context", responses=query_problems(404))
async def context(
    user_id: str, parameters: Annotated[MomentParameters, Query()], session: Reading
) -> UserContextBody:
    """Tier, what is left of today's budget, and how much was sent lately."""
    return UserContextBody.model_validate(await user_context(session, user_id, as_of=parameters.as_of))
