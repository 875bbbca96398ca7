"""`GET /v1/audit`: who did what."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.exceptions import HTTPException

from api.access.caller import Role
from api.audit.listing import AuditFilter, AuditPage, audit_page
from api.http.dependencies import Session
from api.http.middleware.audit import caller_in
from api.http.openapi import problems, query_problems
from api.http.schemas.audit import AuditParameters

router = APIRouter(tags=["access"])


@router.get("/v1/audit", responses=query_problems() | problems(403))
async def audit(
    parameters: Annotated[AuditParameters, Query()], request: Request, session: Session
) -> AuditPage:
    """List entries of the audit trail, newest first; for callers of the role `admin`.

    Entries of routing decisions and of refused requests appear about a second later; `arcpoint audit verify`
    checks that none was changed or removed.
    """
    if caller_in(request.scope).role is not Role.ADMIN:
        raise HTTPException(403, "only callers of the role admin may read the audit trail")
    return await audit_page(session, parameters.to(AuditFilter))
