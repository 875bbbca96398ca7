"""Requests become rows of the request log, with their users and deployments."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from api.ingest.records import RequestRecord
from api.ingest.store.entities import Columns, resolve_entities
from api.ingest.store.references import deployment_columns
from api.ingest.store.result import Outcome, StoreResult
from models import Deployment, User
from models.database import WriteSession
from models.request_log import NewRequest, append

_NOT_IN_LOG = frozenset({"id", "user", "tier", "daily_budget_usd", "model", "backend"})


async def store_requests(
    session: WriteSession, records: Sequence[RequestRecord], *, tier_is_default: bool = False
) -> StoreResult:
    """Append the requests that are not in the log yet; of equal ids the first counts.

    If `tier_is_default`, or if a record does not state it, the tier is for new users only; known users keep
    theirs.

    Raises:
        LoadStopped: a user or a deployment is stored under another name.
    """
    described = (deployment_columns(each.model, each.backend, each.created_at) for each in records)
    deployments, deployments_created = await resolve_entities(
        session, Deployment, ("model", "backend"), described
    )
    users, users_created = await resolve_entities(session, User, ("public_id",), map(_user, records))
    requests: dict[str, NewRequest] = {}
    for record in records:
        user, deployment = users[record.user,], deployments[record.model, record.backend]
        is_default = tier_is_default or "tier" not in record.model_fields_set
        tier = user.tier if is_default else record.tier
        requests.setdefault(record.id, _new_request(record, user.id, deployment.id, tier))
    new = await append(session, list(requests.values()))
    return StoreResult(
        # Of equal ids the first is added.
        outcomes=[Outcome.PRESENT if new.pop(each.id, None) is None else Outcome.ADDED for each in records],
        deployments_created=deployments_created,
        users_created=users_created,
    )


def _new_request(record: RequestRecord, user_id: int, deployment_id: int, tier: str) -> NewRequest:
    columns = {name: getattr(record, name) for name in record.model_fields_set - _NOT_IN_LOG}
    columns["cost_usd"] = record.cost_usd or Decimal(0)
    return NewRequest(public_id=record.id, user_id=user_id, deployment_id=deployment_id, tier=tier, **columns)


def _user(record: RequestRecord) -> Columns:
    return {
        "public_id": record.user,
        "tier": record.tier,
        "daily_budget_usd": record.daily_budget_usd,
        "created_at": record.created_at,
        "updated_at": record.created_at,
    }
