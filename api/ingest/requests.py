"""Loads a request log: users and deployments are created as they are met."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from api.ingest.batches import Record
from api.ingest.load import ROWS_PER_BATCH, LoadOptions, Outcome, load
from api.ingest.mapping import ColumnMapping
from api.ingest.owners import Key, Owner, Owners, Resolved
from api.ingest.plan import Plan
from api.ingest.summary import IngestSummary, Report, Stored
from api.ingest.transaction import commit
from models import Deployment, DeploymentStatus, User
from models.database import Database, WriteSession
from models.request_log import NewRequest, append

_OF_OWNERS = ("user", "tier", "daily_budget_usd", "model", "backend")


async def ingest_requests(
    database: Database,
    path: Path,
    mapping: ColumnMapping,
    *,
    rejects: Path | None = None,
    progress: Report | None = None,
    rows_per_batch: int = ROWS_PER_BATCH,
) -> IngestSummary:
    """Appends the requests of a file that are not in the log yet, one transaction a batch.

    A row that cannot be loaded goes to `rejects`. Raises InputError or MappingError before anything
    is written, and LoadStopped when database or disk fail on the way; running it again continues.
    """
    options = LoadOptions(rejects, progress, rows_per_batch)
    return await load(path, mapping, options, lambda plan: _RequestStore(database, plan).store)


class _RequestStore:
    def __init__(self, database: Database, plan: Plan) -> None:
        self._database = database
        self._users = Owners(User, "public_id")
        self._deployments = Owners(Deployment, "model", "backend")
        self._tier_is_constant = "tier" in plan.constant_fields

    async def store(self, records: Sequence[Record]) -> Outcome:
        """Appends one batch in one transaction."""
        if not records:
            return Outcome(Stored())
        users = _first_met((_user_key(record), _new_user(record)) for record in records)
        deployments = _first_met((_deployment_key(record), _new_deployment(record)) for record in records)

        async def work(session: WriteSession) -> tuple[Stored, Resolved, Resolved]:
            found_deployments = await self._deployments.resolve(session, deployments)
            found_users = await self._users.resolve(session, users)
            requests = {
                record.public_id: self._new_request(
                    record,
                    found_users.owners[_user_key(record)],
                    found_deployments.owners[_deployment_key(record)],
                )
                # An id that comes twice means its first row, in this batch as across batches.
                for record in reversed(records)
            }
            added = len(await append(session, list(reversed(requests.values()))))
            stored = Stored(
                added=added,
                already_present=len(records) - added,
                deployments_created=found_deployments.created,
                users_created=found_users.created,
            )
            return stored, found_deployments, found_users

        stored, found_deployments, found_users = await commit(self._database, work)
        self._deployments.remember(found_deployments)
        self._users.remember(found_users)
        return Outcome(stored)

    def _new_request(self, record: Record, user: Owner, deployment: Owner) -> NewRequest:
        values = {name: value for name, value in record.values.items() if name not in _OF_OWNERS}
        if values.get("cost_usd") is None:
            values["cost_usd"] = Decimal(0)
        # A constant is for users who are new here; of the others the tier is known.
        tier = user.tier if self._tier_is_constant and user.tier else record.values["tier"]
        return NewRequest(
            public_id=record.public_id, user_id=user.id, deployment_id=deployment.id, tier=tier, **values
        )


def _user_key(record: Record) -> Key:
    return (record.values["user"],)


def _deployment_key(record: Record) -> Key:
    return (record.values["model"], record.values["backend"])


def _new_user(record: Record) -> dict[str, Any]:
    values = record.values
    return {
        "public_id": values["user"],
        "tier": values["tier"],
        "daily_budget_usd": values.get("daily_budget_usd"),
        "created_at": values["created_at"],
        "updated_at": values["created_at"],
    }


def _new_deployment(record: Record) -> dict[str, Any]:
    model, backend = record.values["model"], record.values["backend"]
    return {
        "public_id": f"{model}/{backend}",
        "model": model,
        "backend": backend,
        "status": DeploymentStatus.UNKNOWN,
        "created_at": record.values["created_at"],
    }


def _first_met(described: Iterable[tuple[Key, dict[str, Any]]]) -> dict[Key, dict[str, Any]]:
    """Owners as their first row describes them, with the earliest time at which any row saw them."""
    owners: dict[Key, dict[str, Any]] = {}
    for key, columns in described:
        first = owners.setdefault(key, columns)
        for moment in ("created_at", "updated_at"):
            if moment in first:
                first[moment] = min(first[moment], columns[moment])
    return owners
