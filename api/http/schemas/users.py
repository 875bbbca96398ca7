"""What is known of a user."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from api.http.schemas.answer import Usd
from api.http.schemas.parameters import Record


class SpentBody(Record):
    """What a user sent and spent in a time span."""

    since: datetime
    until: datetime = Field(description="Exclusive, a whole minute.")
    requests: int
    cost_usd: Usd


_SPENT: JsonDict = {
    "since": "2026-11-20T00:00:00Z",
    "until": "2026-11-20T08:01:00Z",
    "requests": 412,
    "cost_usd": "3.75",
}


class UserContextBody(Record):
    """One user at a moment. Money is US dollars, exact, as text."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "as_of": "2026-11-20T08:00:42Z",
                    "id": "user_acme",
                    "name": "Acme",
                    "role": "developer",
                    "tier": "premium",
                    "daily_budget_usd": "5",
                    "budget_used": 0.75,
                    "budget_left_usd": "1.25",
                    "today": _SPENT,
                    "last_24_hours": _SPENT | {"since": "2026-11-19T08:01:00Z"},
                    "last_7_days": _SPENT | {"since": "2026-11-13T08:01:00Z"},
                    "last_request_at": "2026-11-20T07:58:47.123000Z",
                }
            ]
        }
    )

    as_of: datetime
    id: str
    name: str | None
    role: str | None
    tier: str | None = Field(description="null: tier or budget changed after `as_of`.")
    daily_budget_usd: Usd | None = Field(description="null: no limit, or not known, as `tier`.")
    budget_used: float | None = Field(description="Share of today's budget; above 1 is over.")
    budget_left_usd: Usd | None
    today: SpentBody = Field(description="Since midnight UTC.")
    last_24_hours: SpentBody
    last_7_days: SpentBody
    last_request_at: datetime | None
