"""`GET /v1/users/{user_id}/context`: tier, budget and spend of a user."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.http.auth.guard import VIEWER_OF_OWN, CurrentCaller, GuardedRoute
from api.http.auth.own_data import require_own
from api.http.dependencies import CallersView
from api.http.openapi import query_problems
from api.http.schemas.parameters import AsOfParameters
from context_builder.queries import UserContext, user_context

router = APIRouter(tags=["queries"], route_class=GuardedRoute, dependencies=[VIEWER_OF_OWN])


# Ids are whatever was logged, slashes included.
@router.get("/v1/users/{user_id:path}/context", responses=query_problems(404))
async def context(
    user_id: str, parameters: Annotated[AsOfParameters, Query()], caller: CurrentCaller, view: CallersView
) -> UserContext:
    """Return a user's tier, the rest of today's budget, and recent requests and spend."""
    require_own(caller, [user_id])
    return view.shown(await user_context(view.session, user_id, as_of=parameters.as_of))
