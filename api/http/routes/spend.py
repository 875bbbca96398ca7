"""`GET /v1/spend`: what paid calls have cost and may cost."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.http.auth.guard import VIEWER, GuardedRoute
from api.http.dependencies import RunningServices, Session
from api.http.openapi import query_problems
from api.http.schemas.parameters import SpendParameters
from context_builder.spend.caps import SpendReport, spend_report

router = APIRouter(tags=["spend"], route_class=GuardedRoute, dependencies=[VIEWER])


@router.get("/v1/spend", responses=query_problems())
async def spend(
    parameters: Annotated[SpendParameters, Query()], services: RunningServices, session: Session
) -> SpendReport:
    """Return what each account has spent and reserved on its last days, and the caps.

    A question whose worst case does not fit under a cap is answered with the facts alone: status 200,
    `model` null, and `no_model_reason` says which cap and what is left of it.
    """
    if not services.settings.read_only:
        await services.ledger.sweep()
    return await spend_report(session, days=parameters.days)
