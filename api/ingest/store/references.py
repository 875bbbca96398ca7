"""The rows that records refer to by name: deployments, users and incidents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select

from api.ingest.store.entities import Columns, resolve_entities
from models import Deployment, DeploymentStatus, Incident, User
from models.database import WriteSession

_NAMES_PER_SELECT = 5_000
_TABLES: Mapping[str, Any] = {"deployments": Deployment, "users": User, "incidents": Incident}


@dataclass(frozen=True, slots=True)
class References:
    """Database ids by public id; what is not stored is absent."""

    deployments: Mapping[str, int] = field(default_factory=dict)
    users: Mapping[str, int] = field(default_factory=dict)
    incidents: Mapping[str, int] = field(default_factory=dict)


async def find_references(session: WriteSession, names: Mapping[str, Iterable[str | None]]) -> References:
    """Find the ids of rows by their public ids, which are given by the name of the table."""
    found: dict[str, dict[str, int]] = {}
    for table, given in names.items():
        entity = _TABLES[table]
        wanted = sorted({name for name in given if name})
        known = found[table] = dict[str, int]()
        for start in range(0, len(wanted), _NAMES_PER_SELECT):
            part = entity.public_id.in_(wanted[start : start + _NAMES_PER_SELECT])
            rows = await session.execute(select(entity.public_id, entity.id).where(part))
            known.update((name, key) for name, key in rows)
    return References(**found)


async def resolve_deployments(
    session: WriteSession, seen: Iterable[tuple[str, datetime]]
) -> tuple[dict[str, Deployment], int]:
    """Find or create deployments by name, each with a time at which it was seen; return how many are new.

    Raises:
        LoadStopped: a deployment is stored under another name.
    """
    described = (deployment_columns(name, moment) for name, moment in seen)
    found, created = await resolve_entities(session, Deployment, ("model", "backend"), described)
    return {each.public_id: each for each in found.values()}, created


def deployment_columns(name: str, seen_at: datetime) -> Columns:
    """Return the columns of a new deployment `model/backend`."""
    model, _, backend = name.rpartition("/")
    status = DeploymentStatus.UNKNOWN
    return {"public_id": name, "model": model, "backend": backend, "status": status, "created_at": seen_at}
