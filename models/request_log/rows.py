"""Rows of the request log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from operator import itemgetter
from typing import Any

from models.request_log.bulk import Bulk, BulkTable, Values
from models.tables.schema import NANO

LOG = BulkTable(
    "requests",
    key={"public_id": "text"},
    sums={},
    others={
        "created_at": "timestamptz",
        "user_id": "bigint",
        "deployment_id": "bigint",
        "tier": "text",
        "status": "text",
        "error_code": "text",
        "latency_ms": "bigint",
        "cost_nanousd": "bigint",
        "prompt_tokens": "bigint",
        "completion_tokens": "bigint",
        "endpoint": "text",
        "task_type": "text",
        "router_version": "text",
        "routing_reason": "jsonb",
    },
    mostly_new=True,
    moment="created_at",
    departed_ids="SELECT max(last_id) FROM cold_days",
)


@dataclass(slots=True, kw_only=True)  # frozen it would take three times as long to make
class NewRequest:
    """A request to append; a `public_id` that is logged already is skipped."""

    public_id: str
    created_at: datetime
    user_id: int
    deployment_id: int
    tier: str
    """Tier of the user at the time of the request; the rollups keep it."""
    status: str
    error_code: str | None = None
    latency_ms: int | None = None
    cost_usd: Decimal = Decimal(0)
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    endpoint: str | None = None
    task_type: str | None = None
    router_version: str | None = None
    routing_reason: dict[str, Any] | None = None


async def insert_requests(bulk: Bulk, requests: Sequence[NewRequest]) -> list[tuple[int, NewRequest]]:
    """Insert the requests that are new; return them with their ids, in the order of the ids."""
    first: dict[Values, tuple[NewRequest, Values]] = {}
    for request in requests:
        row = row_of(request)
        first.setdefault(bulk.identity(LOG, row), (request, row))
    if not first:
        return []
    inserted = await bulk.insert_new(LOG, [row for _, row in first.values()])
    return sorted(((row_id, first[which][0]) for which, row_id in inserted.items()), key=itemgetter(0))


def nano_of(cost: Decimal) -> int:
    """Return dollars in the unit that money is stored in."""
    return int((cost * NANO).to_integral_value(ROUND_HALF_EVEN)) if cost else 0


def row_of(request: NewRequest) -> Values:
    """Return a request as a row of the log."""
    moment = request.created_at
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone; pass an aware datetime")
    reason = request.routing_reason
    return (
        request.public_id,
        moment if moment.tzinfo is UTC else moment.astimezone(UTC),
        request.user_id,
        request.deployment_id,
        str(request.tier),
        str(request.status),
        request.error_code,
        request.latency_ms,
        nano_of(request.cost_usd),
        request.prompt_tokens,
        request.completion_tokens,
        request.endpoint,
        request.task_type,
        request.router_version,
        None if reason is None else json.dumps(reason),
    )
