"""`GET /v1/audit`: who did what."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.audit.listing import AuditFilter, AuditPage, audit_page
from api.http.auth.guard import ADMIN, GuardedRoute
from api.http.dependencies import Session
from api.http.openapi import query_problems
from api.http.schemas.audit import AuditParameters

router = APIRouter(tags=["access"], route_class=GuardedRoute, dependencies=[ADMIN])


@router.get("/v1/audit", responses=query_problems())
async def audit(parameters: Annotated[AuditParameters, Query()], session: Session) -> AuditPage:
    """List entries of the audit trail, newest first.

    Entries of routing decisions and of refused requests appear about a second later; `arcpoint audit verify`
    checks that none was changed or removed.
    """
    return await audit_page(session, parameters.to(AuditFilter))
