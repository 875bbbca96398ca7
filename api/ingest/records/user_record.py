"""One user."""

from __future__ import annotations

from typing import Annotated, ClassVar

from api.ingest.records.fields import AnyCase, Budget, Name, Target, UtcTime
from api.ingest.records.record import Record
from models import Tier


class UserRecord(Record):
    """A user with tier and budget; of two records the later one counts."""

    kind: ClassVar[str] = "users"
    time_field: ClassVar[str] = "updated_at"

    user: Name
    tier: Annotated[Tier, AnyCase]
    daily_budget_usd: Budget | None = None
    name: Target | None = None
    role: Name | None = None
    updated_at: UtcTime
    """Since when tier and budget are these."""
