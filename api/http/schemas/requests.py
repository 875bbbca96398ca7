"""Requests of the log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from api.http.schemas.answer import Usd
from api.http.schemas.parameters import (
    EXAMPLE_CURSOR,
    NEXT,
    AsOf,
    Backends,
    Deployments,
    Models,
    PageParameters,
    Parameters,
    Record,
    Tiers,
)
from api.http.schemas.question import Moment
from context_builder.queries import RequestFilter


class RequestParameters(PageParameters):
    """Which requests."""

    user: list[str] = Field([], description="Users, by public id.")
    tier: Tiers = Field([])
    deployment: Deployments = Field([])
    model: Models = Field([])
    backend: Backends = Field([])
    status: list[str] = Field(
        [], description="Statuses: `success`, `error`, `timeout`, `rate_limited`, `pending`."
    )
    since: Moment | None = Field(None, description="Start of the time span, with its time zone.")
    until: Moment | None = Field(None, description="End of the time span, which does not belong to it.")

    def to_filter(self) -> RequestFilter:
        """The filter as the query takes it."""
        return RequestFilter(
            users=tuple(self.user),
            tiers=tuple(self.tier),
            deployments=tuple(self.deployment),
            models=tuple(self.model),
            backends=tuple(self.backend),
            statuses=tuple(self.status),
            since=self.since,
            until=self.until,
        )


class MomentParameters(Parameters):
    """When."""

    as_of: AsOf = None


class LoggedRequestBody(Record):
    """One routed request."""

    id: str
    created_at: datetime
    user: str
    tier: str | None = Field(description="When the request was made; null: tier or budget changed later.")
    deployment: str
    model: str
    backend: str
    status: str
    error_code: str | None
    latency_ms: int | None
    cost_usd: Usd = Field(description="US dollars, exact, as text.")
    prompt_tokens: int | None
    completion_tokens: int | None
    endpoint: str | None
    task_type: str | None
    router_version: str | None


_REQUEST: JsonDict = {
    "id": "req_000123",
    "created_at": "2026-11-20T07:58:47.123000Z",
    "user": "user_acme",
    "tier": "premium",
    "deployment": "gpt-4/aws",
    "model": "gpt-4",
    "backend": "aws",
    "status": "timeout",
    "error_code": "504",
    "latency_ms": 30000,
    "cost_usd": "0.0021",
    "prompt_tokens": 812,
    "completion_tokens": None,
    "endpoint": "/v1/messages",
    "task_type": "chat",
    "router_version": "v2",
}


class RequestPageBody(Record):
    """A page of requests, the newest first."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"requests": [_REQUEST], "next": EXAMPLE_CURSOR}]}
    )

    requests: list[LoggedRequestBody] = Field(
        description="May be fewer than `limit`, none even, while there is a next page."
    )
    next: str | None = Field(description=NEXT)


class ScoreBody(Record):
    """The quality score of a request."""

    score: float = Field(ge=0, le=1)
    scorer: str
    scored_at: datetime


class RelatedIncidentBody(Record):
    """The incident that a request fell into."""

    id: str
    title: str
    severity: str
    target: str | None
    started_at: datetime
    resolved_at: datetime | None
    root_cause: str | None = Field(description="Known once the incident is resolved.")
    resolution: str | None


class RequestDetailBody(Record):
    """One request with what explains it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "as_of": "2026-11-20T08:00:42Z",
                    "request": _REQUEST,
                    "routing_reason": {"policy": "tier-affinity"},
                    "quality": {
                        "score": 0.871,
                        "scorer": "judge-2",
                        "scored_at": "2026-11-20T07:59:30Z",
                    },
                    "incident": {
                        "id": "inc_0119",
                        "title": "gpt-4/aws times out",
                        "severity": "high",
                        "target": "gpt-4/aws",
                        "started_at": "2026-11-20T07:10:00Z",
                        "resolved_at": None,
                        "root_cause": None,
                        "resolution": None,
                    },
                }
            ]
        }
    )

    as_of: datetime
    request: LoggedRequestBody
    routing_reason: dict[str, Any] | None
    quality: ScoreBody | None = Field(description="null: no score has arrived yet.")
    incident: RelatedIncidentBody | None = Field(
        description="The nearest and worst that hit its deployment, model or backend when it was made."
    )
