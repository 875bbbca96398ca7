"""One request of the gateway."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import ValidationInfo, field_validator

from api.ingest.records.fields import (
    AnyCase,
    Budget,
    Cost,
    JsonObject,
    Latency,
    Name,
    Target,
    Tokens,
    UtcTime,
)
from api.ingest.records.problems import ValueProblem, excerpt
from api.ingest.records.record import NamedRecord
from models import RequestStatus, Tier

MAX_DEPLOYMENT = 200
"""Characters of `model/backend`."""


class RequestRecord(NamedRecord):
    """A request as a log or a receiver reports it, with its user and deployment by name."""

    kind: ClassVar[str] = "requests"
    time_field: ClassVar[str] = "created_at"
    id_prefix: ClassVar[str] = "req_"

    created_at: UtcTime
    user: Name
    tier: Annotated[Tier, AnyCase]
    daily_budget_usd: Budget | None = None
    model: Name
    backend: Name
    status: Annotated[RequestStatus, AnyCase]
    error_code: Name | None = None
    latency_ms: Latency | None = None
    cost_usd: Cost | None = None
    prompt_tokens: Tokens | None = None
    completion_tokens: Tokens | None = None
    endpoint: Target | None = None
    """Path of the gateway's API, such as `/v1/messages`."""
    task_type: Name | None = None
    router_version: Name | None = None
    routing_reason: JsonObject | None = None

    @field_validator("backend")
    @classmethod
    def _names_a_deployment(cls, backend: str, info: ValidationInfo) -> str:
        if "/" in backend:
            raise ValueProblem("holds a slash", f"{excerpt(backend)}; deployments are named model/backend")
        if len(info.data.get("model", "")) + 1 + len(backend) > MAX_DEPLOYMENT:
            raise ValueProblem("too long", f"model/backend has at most {MAX_DEPLOYMENT} characters")
        return backend
