"""Writes the demo data to an empty database, all of it or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from sqlalchemy import Select, insert, select, text

from api.demo_data.health import last_answers
from api.demo_data.history import IDENTIFYING, LINKS, History, Row, history
from api.demo_data.incidents import DemoIncident, Disturbances, read_incidents
from api.demo_data.personas import DEPLOYMENTS, PERSONAS_AGE, USERS, DeploymentRole, UserRole
from api.demo_data.quality import SCORER, Score, scores
from api.demo_data.traffic import Exchange, week_of_requests
from api.errors import ArcpointApiError
from models import Deployment, HealthCheck, Incident, Request, RequestStatus, User, quality_log
from models.database import HEAD_REVISION, Database, WriteSession
from models.quality_log import NewScore
from models.request_log import append
from models.tables.schema import Table

_BATCH_SIZE = 500
_BUDGETS_AGE = timedelta(days=45)
"""Time between the last change of tiers and budgets and the anchor."""
_FIRST_YEAR = 1971
_LAST_YEAR = 9998

RowKey = tuple[Any, Any]
"""Two values that identify a row of one dataset, usually a name and a time."""


class DemoDataError(ArcpointApiError):
    """The demo data cannot be written: another database or another anchor is needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoDataSummary:
    """Row counts, and whether this call wrote them or found them."""

    seed: int
    anchor: datetime
    written: bool
    deployments: int
    users: int
    incidents: int
    requests: int
    quality_scores: int
    state_transitions: int
    health_checks: int
    jobs: int
    config_changes: int
    error_logs: int
    audit_events: int
    notifications: int
    user_actions: int
    maintenance_windows: int
    operating_hours: int


@dataclass(frozen=True)
class DemoData:
    """All rows, generated from a seed and an anchor."""

    seed: int
    anchor: datetime
    incidents: list[DemoIncident]
    requests: list[Exchange]
    scores: list[Score]
    history: History

    @cached_property
    def identity(self) -> dict[str, set[RowKey]]:
        """Keys of all rows that identify this dataset, by table."""
        created_at = self.anchor - PERSONAS_AGE
        told = {
            table.__tablename__: {(row[names[0]], row[names[1]]) for row in self.history[table]}
            for table, names in IDENTIFYING.items()
        }
        return told | {
            "deployments": {(role.public_id, created_at) for role in DEPLOYMENTS},
            "users": {(role.public_id, created_at) for role in USERS},
            "incidents": {(record.public_id, record.started_at) for record in self.incidents},
            "requests": {(sent.public_id, sent.created_at) for sent in self.requests},
        }

    def summary(self, *, written: bool) -> DemoDataSummary:
        """Return the row counts."""
        return DemoDataSummary(
            seed=self.seed,
            anchor=self.anchor,
            written=written,
            deployments=len(DEPLOYMENTS),
            users=len(USERS),
            incidents=len(self.incidents),
            requests=len(self.requests),
            quality_scores=len(self.scores),
            **{table.__tablename__: len(rows) for table, rows in self.history.items()},
        )

    @property
    def last_seen(self) -> dict[str, datetime]:
        """Time of the last response of each deployment."""
        answered = [
            (sent.deployment, sent.ended_at)
            for sent in self.requests
            if sent.outcome.status is RequestStatus.SUCCESS
        ]
        return last_answers(self.history[HealthCheck], answered)


def generate(seed: int, anchor: datetime) -> DemoData:
    """Generate the week that ends at an anchor, rounded down to the minute.

    Reads files and computes for a fraction of a second: not for the event loop.

    Raises:
        DemoDataError: The anchor has no time zone, or lies outside the years 1971 to 9998.
    """
    if anchor.utcoffset() is None:
        raise DemoDataError(f"anchor {anchor.isoformat()} has no time zone; pass an aware datetime")
    if not _FIRST_YEAR <= anchor.year <= _LAST_YEAR:
        raise DemoDataError(
            f"anchor {anchor.isoformat()} leaves no room for the data; "
            f"use one of the years {_FIRST_YEAR} to {_LAST_YEAR}"
        )
    minute = anchor.astimezone(UTC).replace(second=0, microsecond=0)
    incidents = read_incidents(minute)
    disturbances = Disturbances(incidents)
    requests = week_of_requests(seed, minute, disturbances)
    return DemoData(
        seed=seed,
        anchor=minute,
        incidents=incidents,
        requests=requests,
        scores=scores(seed, minute, requests, disturbances),
        history=history(seed, minute, requests, disturbances),
    )


async def seed(
    database: Database,
    *,
    seed: int,
    anchor: datetime,
    progress: Callable[[int, int], None] | None = None,
) -> DemoDataSummary:
    """Write the demo data in one transaction; if it is already there, change nothing.

    `progress` is called with the number of requests written and their total.

    Raises:
        DemoDataError: The anchor cannot be used, or the database contains other data.
        DatabaseError: The database is unavailable, or its schema is of another version.
    """
    data = await asyncio.to_thread(generate, seed, anchor)
    await database.require_revision(HEAD_REVISION)
    async with database.write() as session:
        written = not await _is_stored(session, data)
        if written:
            await _write(session, data, progress or _silent)
    return data.summary(written=written)


def _silent(_done: int, _total: int) -> None:
    """Report progress to nobody."""


async def _is_stored(session: WriteSession, data: DemoData) -> bool:
    """Whether the database holds this data. Raises DemoDataError when it holds anything else."""
    if session.get_bind().dialect.name == "postgresql":
        # A second seeder waits here and then finds the data; SQLite has one writer anyway.
        await session.execute(text("LOCK TABLE deployments IN SHARE ROW EXCLUSIVE MODE"))
    stored = await _stored_identity(session)
    if not any(stored.values()):
        return False
    foreign = {table: len(stored[table] ^ data.identity[table]) for table in stored}
    if not any(foreign.values()):
        return True
    found = ", ".join(f"{len(rows)} {table}" for table, rows in stored.items() if rows)
    raise DemoDataError(
        f"the database already holds data; use an empty one (found {found}, not the demo data of "
        f"seed {data.seed} at {data.anchor:%Y-%m-%d %H:%M} UTC)"
    )


async def _stored_identity(session: WriteSession) -> dict[str, set[RowKey]]:
    queries: dict[str, Select[*tuple[Any, ...]]] = {
        table.__tablename__: select(*(getattr(table, name) for name in names))
        for table, names in IDENTIFYING.items()
    }
    queries |= {
        "deployments": select(Deployment.public_id, Deployment.created_at),
        "users": select(User.public_id, User.created_at),
        "incidents": select(Incident.public_id, Incident.started_at),
        "requests": select(Request.public_id, Request.created_at),
    }
    return {
        table: {(row[0], row[1]) for row in await session.execute(query)} for table, query in queries.items()
    }


async def _write(session: WriteSession, data: DemoData, progress: Callable[[int, int], None]) -> None:
    last_seen = data.last_seen
    deployments = [_deployment(role, data.anchor, last_seen[role.public_id]) for role in DEPLOYMENTS]
    users = [_user(role, data.anchor) for role in USERS]
    session.add_all([*deployments, *users])
    await session.flush()
    deployment_ids = {row.public_id: row.id for row in deployments}
    user_ids = {row.public_id: row.id for row in users}
    incidents = [record.row(deployment_ids) for record in data.incidents]
    session.add_all(incidents)
    await session.flush()
    incident_ids = {row.public_id: row.id for row in incidents}
    request_ids: dict[str, int] = {}
    for start in range(0, len(data.requests), _BATCH_SIZE):
        batch = data.requests[start : start + _BATCH_SIZE]
        request_ids |= await append(session, [sent.row(user_ids, deployment_ids) for sent in batch])
        progress(start + len(batch), len(data.requests))
    await quality_log.append(
        session,
        [
            NewScore(
                request_id=request_ids[given.request],
                score=given.score,
                scorer=SCORER,
                scored_at=given.scored_at,
            )
            for given in data.scores
        ],
    )
    ids = {"deployment": deployment_ids, "incident": incident_ids, "user": user_ids}
    for table, rows in data.history.items():
        # The plain table: the mapped class takes twice as long for thousands of rows.
        plain = Table.metadata.tables[table.__tablename__]
        await session.execute(insert(plain), [_with_foreign_keys(row, ids) for row in rows])


def _with_foreign_keys(row: Row, ids: Mapping[str, Mapping[str, int]]) -> Row:
    """Replace public ids by foreign keys."""
    stored = {name: value for name, value in row.items() if name not in ids}
    for column, link in LINKS.items():
        if link in row:
            stored[column] = None if row[link] is None else ids[link][row[link]]
    return stored


def _deployment(role: DeploymentRole, anchor: datetime, last_seen_at: datetime) -> Deployment:
    model, backend = role.public_id.split("/")
    return Deployment(
        public_id=role.public_id,
        model=model,
        backend=backend,
        region=role.region,
        version=role.version,
        endpoint=role.endpoint,
        capacity_rpm=role.capacity_rpm,
        last_seen_at=last_seen_at,
        status=role.status,
        status_reason=role.status_reason,
        status_since=anchor - role.status_age,
        created_at=anchor - PERSONAS_AGE,
        updated_at=anchor - role.report_age,
    )


def _user(role: UserRole, anchor: datetime) -> User:
    return User(
        public_id=role.public_id,
        name=role.name,
        role=role.role,
        tier=role.tier,
        daily_budget_usd=role.daily_budget_usd,
        created_at=anchor - PERSONAS_AGE,
        updated_at=anchor - _BUDGETS_AGE,
    )
