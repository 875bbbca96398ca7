"""Requests become rows of the request log, with their users and deployments."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from api.ingest.records import RequestRecord
from api.ingest.store.entities import Columns, resolve_entities
from api.ingest.store.result import StoreResult
from api.ingest.store.transaction import commit
from models import Deployment, DeploymentStatus, User
from models.database import Database, WriteSession
from models.request_log import NewRequest, append

_NOT_IN_LOG = frozenset({"id", "user", "tier", "daily_budget_usd", "model", "backend"})


async def store_requests(
    database: Database, records: Sequence[RequestRecord], *, tier_is_default: bool = False
) -> StoreResult:
    """Append the requests that are not in the log yet, in one transaction; of equal ids the first counts.

    If `tier_is_default`, the tier of a record is for new users only; known users keep theirs.

    Raises:
        LoadStopped: a user or a deployment is stored under another name.
        DBAPIError: the database failed; nothing of these records is stored.
    """
    if not records:
        return StoreResult()
    first = {record.id: record for record in reversed(records)}

    async def work(session: WriteSession) -> StoreResult:
        deployments, deployments_created = await resolve_entities(
            session, Deployment, ("model", "backend"), map(_deployment, records)
        )
        users, users_created = await resolve_entities(session, User, ("public_id",), map(_user, records))
        requests = []
        for record in reversed(first.values()):
            user, deployment = users[record.user,], deployments[record.model, record.backend]
            tier = user.tier if tier_is_default else record.tier
            requests.append(_new_request(record, user.id, deployment.id, tier))
        added = len(await append(session, requests))
        return StoreResult(
            added=added,
            already_present=len(records) - added,
            deployments_created=deployments_created,
            users_created=users_created,
        )

    return await commit(database, work)


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


def _deployment(record: RequestRecord) -> Columns:
    return {
        "public_id": f"{record.model}/{record.backend}",
        "model": record.model,
        "backend": record.backend,
        "status": DeploymentStatus.UNKNOWN,
        "created_at": record.created_at,
    }
