"""Names that clients choose are bounded: users and deployments beyond a limit are counted as `other`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from api.ingest.records import RequestRecord
from api.ingest.store.references import find_references
from models import Deployment, User
from models.database import WriteSession

OTHER = "other"


@dataclass(frozen=True, slots=True)
class CardinalityLimits:
    """How many users and deployments requests may create."""

    max_users: int = 200_000
    max_deployments: int = 2_000


async def folded(
    session: WriteSession, records: Sequence[RequestRecord], limits: CardinalityLimits
) -> list[RequestRecord]:
    """Return the records with names that are new, and too many, replaced by `other`."""
    deployments = [f"{record.model}/{record.backend}" for record in records]
    users = [record.user for record in records]
    known = await find_references(session, {"deployments": deployments, "users": users})
    new_deployments = [name for name in dict.fromkeys(deployments) if name not in known.deployments]
    new_users = [name for name in dict.fromkeys(users) if name not in known.users]
    too_many = set(await _beyond(session, Deployment, new_deployments, limits.max_deployments))
    of_users = set(await _beyond(session, User, new_users, limits.max_users))
    if not too_many and not of_users:
        return list(records)
    result = []
    for record, deployment in zip(records, deployments, strict=True):
        changes: dict[str, Any] = {"user": OTHER} if record.user in of_users else {}
        if deployment in too_many:
            changes |= {"model": OTHER, "backend": OTHER}
        result.append(record.model_copy(update=changes) if changes else record)
    return result


async def _beyond(session: WriteSession, table: type[Any], new: Sequence[str], limit: int) -> Sequence[str]:
    """Return the names for which there is no room in a table."""
    if not new:
        return new
    stored = await session.scalar(select(func.count()).select_from(table)) or 0
    return new[max(0, limit - stored) :]
