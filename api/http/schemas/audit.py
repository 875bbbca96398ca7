"""Parameters of the audit trail."""

from __future__ import annotations

from pydantic import Field

from api.audit.listing import DEFAULT_ENTRIES, MAX_ENTRIES
from api.http.schemas.parameters import Parameters, Since, Until


class AuditParameters(Parameters):
    """Filter of the audit trail."""

    since: Since = None
    until: Until = None
    action: str | None = Field(None, description="Only this action, such as `question` or `approve`.")
    caller: str | None = Field(None, description="Only this caller, exactly as entries name it.")
    before: int | None = Field(
        None, ge=1, le=2**63 - 1, description="`next` of the previous page; omit it for the first page."
    )
    limit: int = Field(DEFAULT_ENTRIES, ge=1, le=MAX_ENTRIES, description="Maximum number of entries.")
