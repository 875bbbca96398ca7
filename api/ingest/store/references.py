"""The rows that records refer to by name: deployments, users and incidents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import select

from api.ingest.store.entities import Columns, resolve_entities
from models import Deployment, DeploymentStatus, Incident, User
from models.database import WriteSession
from models.request_log import among

Value = TypeVar("Value", str, datetime, int)
_TABLES: Mapping[str, Any] = {"deployments": Deployment, "users": User, "incidents": Incident}


@dataclass(frozen=True, slots=True)
class References:
    """Database ids by public id; what is not stored is absent."""

    deployments: Mapping[str, int] = field(default_factory=dict)
    users: Mapping[str, int] = field(default_factory=dict)
    incidents: Mapping[str, int] = field(default_factory=dict)


def in_parts(values: Iterable[Value], size: int = 5_000) -> Iterator[list[Value]]:
    """Yield the distinct values in order, at most so many at once: a statement has a limit of parameters."""
    distinct = sorted(set(values))
    for start in range(0, len(distinct), size):
        yield distinct[start : start + size]


async def find_references(session: WriteSession, names: Mapping[str, Iterable[str | None]]) -> References:
    """Find the ids of rows by their public ids, which are given by the name of the table."""
    found: dict[str, dict[str, int]] = {}
    for table, given in names.items():
        entity = _TABLES[table]
        wanted = among(session, entity.public_id, {name for name in given if name})
        rows = await session.execute(select(entity.public_id, entity.id).where(wanted))
        found[table] = {row.public_id: row.id for row in rows}
    return References(**found)


async def resolve_deployments(
    session: WriteSession, seen: Iterable[tuple[str, datetime]]
) -> tuple[dict[str, Deployment], int]:
    """Find or create deployments by name, each with a time at which it was seen; return how many are new.

    Raises:
        LoadStopped: a deployment is stored under another name.
    """
    described = ((name.rpartition("/"), moment) for name, moment in seen)
    columns = (deployment_columns(model, backend, moment) for (model, _, backend), moment in described)
    found, created = await resolve_entities(session, Deployment, ("model", "backend"), columns)
    stored = await session.scalars(
        select(Deployment).where(Deployment.id.in_(each.id for each in found.values()))
    )
    return {each.public_id: each for each in stored}, created


def deployment_columns(model: str, backend: str, seen_at: datetime) -> Columns:
    """Return the columns of a new deployment."""
    return {
        "public_id": f"{model}/{backend}",
        "model": model,
        "backend": backend,
        "status": DeploymentStatus.UNKNOWN,
        "created_at": seen_at,
    }
