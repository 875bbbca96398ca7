"""Requests become rows of the request log, with their users and deployments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from api.ingest.records import RequestRecord
from api.ingest.store.entities import Columns, Earliest, resolve_entities
from api.ingest.store.references import deployment_columns
from api.ingest.store.result import Outcome, StoreResult
from models import Deployment, User
from models.database import WriteSession
from models.request_log import NewRequest, append_new

_FREE = Decimal(0)


async def store_requests(
    session: WriteSession, records: Sequence[RequestRecord], *, tier_is_default: bool = False
) -> StoreResult:
    """Append the requests that are not in the log yet; of equal ids the first counts.

    If `tier_is_default`, or if a record does not state it, the tier is for new users only; known users keep
    theirs.

    Raises:
        LoadStopped: a user or a deployment is stored under another name.
    """
    of_deployments, of_users = Earliest[RequestRecord](), Earliest[RequestRecord]()
    for record in records:
        of_deployments.add((record.model, record.backend), record, record.created_at)
        of_users.add((record.user,), record, record.created_at)
    described = (deployment_columns(each.model, each.backend, at) for each, at in of_deployments)
    deployments, deployments_created = await resolve_entities(
        session, Deployment, ("model", "backend"), described
    )
    users, users_created = await resolve_entities(
        session, User, ("public_id",), (_user(each, at) for each, at in of_users)
    )
    deployment_ids = {key: each.id for key, each in deployments.items()}
    user_tiers = {key: (each.id, each.tier) for (key,), each in users.items()}
    requests: list[NewRequest] = []
    for record in records:
        user_id, tier = user_tiers[record.user]
        if not tier_is_default and "tier" in record.__pydantic_fields_set__:
            tier = record.tier
        deployment_id = deployment_ids[record.model, record.backend]
        requests.append(_new_request(record, user_id, deployment_id, tier))
    added = {id(request) for _, request in await append_new(session, requests)}
    return StoreResult(
        outcomes=[Outcome.ADDED if id(request) in added else Outcome.PRESENT for request in requests],
        deployments_created=deployments_created,
        users_created=users_created,
    )


def _new_request(record: RequestRecord, user_id: int, deployment_id: int, tier: str) -> NewRequest:
    return NewRequest(
        public_id=record.id,
        created_at=record.created_at,
        user_id=user_id,
        deployment_id=deployment_id,
        tier=tier,
        status=record.status,
        error_code=record.error_code,
        latency_ms=record.latency_ms,
        cost_usd=_FREE if record.cost_usd is None else record.cost_usd,
        prompt_tokens=record.prompt_tokens,
        completion_tokens=record.completion_tokens,
        endpoint=record.endpoint,
        task_type=record.task_type,
        router_version=record.router_version,
        routing_reason=record.routing_reason,
    )


def _user(record: RequestRecord, seen_at: datetime) -> Columns:
    return {
        "public_id": record.user,
        "tier": record.tier,
        "daily_budget_usd": record.daily_budget_usd,
        "created_at": seen_at,
        "updated_at": seen_at,
    }
