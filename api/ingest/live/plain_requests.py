"""Requests as nearly every sender writes them, decoded twenty times as fast as what allows for more."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from api.ingest.live.request_fields import request_record
from api.ingest.records import RequestRecord
from api.ingest.records.fields import MAX_COST_USD, MAX_LATENCY_MS, MAX_NAME, MAX_TARGET, MAX_TOKENS, dollars
from api.ingest.records.parsing import MAX_TIME, MIN_TIME
from api.ingest.records.request_record import MAX_DEPLOYMENT
from models import RequestStatus, Tier

_Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
_Target = Annotated[str, Meta(min_length=1, max_length=MAX_TARGET)]
_Tokens = Annotated[int, Meta(ge=0, le=MAX_TOKENS)]


class _Plain(msgspec.Struct, forbid_unknown_fields=True):
    """Values that `RequestRecord` takes as they are."""

    id: _Name
    created_at: str
    user: _Name
    model: _Name
    backend: _Name
    status: RequestStatus
    tier: Tier | None = None
    error_code: _Name | None = None
    latency_ms: Annotated[int, Meta(ge=0, le=MAX_LATENCY_MS)] | None = None
    cost_usd: Decimal | None = None
    prompt_tokens: _Tokens | None = None
    completion_tokens: _Tokens | None = None
    endpoint: _Target | None = None
    task_type: _Name | None = None
    router_version: _Name | None = None


_DECODER = msgspec.json.Decoder(_Plain)


def plain_request(raw: Raw | bytes, default_tier: Tier) -> RequestRecord | None:
    """Return the record of an item; None if `parse_record` has to say what it is, or what is wrong."""
    try:
        item = _DECODER.decode(raw)
        moment = datetime.fromisoformat(item.created_at)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return None
    cost = item.cost_usd
    if (
        moment.tzinfo is None
        or not MIN_TIME <= moment < MAX_TIME
        or "/" in item.backend
        or len(item.model) + 1 + len(item.backend) > MAX_DEPLOYMENT
        or (cost is not None and not (cost.is_finite() and 0 <= cost <= MAX_COST_USD))
    ):
        return None
    values: dict[str, Any] = {
        "id": item.id,
        "created_at": moment.astimezone(UTC),
        "user": item.user,
        "model": item.model,
        "backend": item.backend,
        "status": item.status,
        "error_code": item.error_code,
        "latency_ms": item.latency_ms,
        "cost_usd": None if cost is None else dollars(cost),
        "prompt_tokens": item.prompt_tokens,
        "completion_tokens": item.completion_tokens,
        "endpoint": item.endpoint,
        "task_type": item.task_type,
        "router_version": item.router_version,
    }
    if item.tier is not None:
        values["tier"] = item.tier
    return request_record(item.tier or default_tier, values)
