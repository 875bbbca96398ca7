"""A request of the log with the names behind its ids."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select

from context_builder.telemetry.newest_requests import tier_then
from context_builder.text.wire import Usd
from models import Deployment, Request, User


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One routed request."""

    id: str
    """Public, as everywhere here."""
    created_at: datetime
    user: str
    tier: str | None
    """The user's tier when the request was made; None: tier or budget changed later."""
    deployment: str
    model: str
    backend: str
    status: str
    error_code: str | None
    latency_ms: int | None
    cost_usd: Usd
    prompt_tokens: int | None
    completion_tokens: int | None
    endpoint: str | None
    task_type: str | None
    router_version: str | None


def with_names() -> Select[Request, Deployment, str, str | None]:
    """Requests, their deployment, the user's name and tier."""
    return (
        select(Request, Deployment, User.public_id, tier_then())
        .join(Deployment, Deployment.id == Request.deployment_id)
        .join(User, User.id == Request.user_id)
    )


def logged_request(request: Request, deployment: Deployment, user: str, tier: str | None) -> LoggedRequest:
    """A row of `with_names`."""
    return LoggedRequest(
        id=request.public_id,
        created_at=request.created_at,
        user=user,
        tier=tier,
        deployment=deployment.public_id,
        model=deployment.model,
        backend=deployment.backend,
        status=request.status,
        error_code=request.error_code,
        latency_ms=request.latency_ms,
        cost_usd=request.cost_usd,
        prompt_tokens=request.prompt_tokens,
        completion_tokens=request.completion_tokens,
        endpoint=request.endpoint,
        task_type=request.task_type,
        router_version=request.router_version,
    )
