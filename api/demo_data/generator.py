"""Generates the demo data, and stores it in an empty database, all of it or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from types import MappingProxyType

from sqlalchemy import func, select

from api.demo_data.history import history
from api.demo_data.incidents import Disturbances, read_incidents
from api.demo_data.personas import DEPLOYMENTS, PERSONAS_AGE, USERS
from api.demo_data.quality import scores
from api.demo_data.traffic import Exchange, week_of_requests
from api.errors import ArcpointApiError
from api.ingest.records import DeploymentRecord, Record, UserRecord
from api.ingest.store import WRITERS, Outcome
from api.ingest.store.events import lock_table
from models import (
    AuditEvent,
    ConfigChange,
    Deployment,
    ErrorLog,
    HealthCheck,
    Incident,
    Job,
    MaintenanceWindow,
    Notification,
    OperatingHours,
    QualityScore,
    Request,
    StateTransition,
    User,
    UserAction,
)
from models.database import HEAD_REVISION, Database, WriteSession
from models.tables.schema import Table

_BATCH_SIZE = 2_000
# Records are of the years 2000 to 2099, and the oldest lies more than a year before the anchor.
_FIRST_YEAR = 2002
_LAST_YEAR = 2098

TABLES: Mapping[str, type[Table]] = MappingProxyType(
    {
        "deployments": Deployment,
        "users": User,
        "requests": Request,
        "quality": QualityScore,
        "incidents": Incident,
        "states": StateTransition,
        "health": HealthCheck,
        "errors": ErrorLog,
        "jobs": Job,
        "changes": ConfigChange,
        "audit": AuditEvent,
        "notifications": Notification,
        "activity": UserAction,
        "maintenance": MaintenanceWindow,
        "hours": OperatingHours,
    }
)
"""Where the records of each kind are stored, one row each, in the order in which they are sent."""

Progress = Callable[[int, int], None]
"""Is called with the number of records so far and their total."""


class DemoDataError(ArcpointApiError):
    """The demo data cannot be stored: another database or another anchor is needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoDataSummary:
    """How many records of each kind there are, and whether this call stored them or found them."""

    anchor: datetime
    written: bool
    counts: Mapping[str, int]


@dataclass(frozen=True)
class DemoData:
    """A week of a gateway as it would report it, generated from a seed and an anchor."""

    seed: int
    anchor: datetime
    requests: Sequence[Exchange]
    others: Mapping[str, Sequence[Record]]
    """Records of every kind but requests."""

    @cached_property
    def records(self) -> Mapping[str, Sequence[Record]]:
        """All records by kind; what others refer to comes first."""
        found = {"requests": [sent.record for sent in self.requests], **self.others}
        return {kind: found[kind] for kind in TABLES}

    @property
    def counts(self) -> dict[str, int]:
        """Number of records by kind."""
        return {kind: len(records) for kind, records in self.records.items()}

    def batches(self, progress: Progress) -> Iterator[tuple[str, Sequence[Record]]]:
        """Yield all records in parts of one kind, and report the progress after each."""
        total, done = sum(self.counts.values()), 0
        for kind, records in self.records.items():
            for start in range(0, len(records), _BATCH_SIZE):
                batch = records[start : start + _BATCH_SIZE]
                yield kind, batch
                done += len(batch)
                progress(done, total)


def generate(seed: int, anchor: datetime) -> DemoData:
    """Generate the week that ends at an anchor, rounded down to the minute.

    Reads files and computes for a fraction of a second: not for the event loop.

    Raises:
        DemoDataError: The anchor has no time zone, or lies outside the years 2002 to 2098.
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
    others: dict[str, Sequence[Record]] = {
        "deployments": _deployments(minute - PERSONAS_AGE),
        "users": _users(minute - PERSONAS_AGE),
        "quality": [*scores(seed, minute, requests, disturbances)],
        "incidents": [each.record for each in incidents],
        **history(seed, minute, requests, disturbances),
    }
    return DemoData(seed=seed, anchor=minute, requests=requests, others=others)


def _deployments(since: datetime) -> list[DeploymentRecord]:
    return [
        DeploymentRecord(
            deployment=role.public_id,
            region=role.region,
            version=role.version,
            endpoint=role.endpoint,
            capacity_rpm=role.capacity_rpm,
            reported_at=since,
        )
        for role in DEPLOYMENTS
    ]


def _users(since: datetime) -> list[UserRecord]:
    return [
        UserRecord(
            user=role.public_id,
            name=role.name,
            role=role.role,
            tier=role.tier,
            daily_budget_usd=role.daily_budget_usd,
            updated_at=since,
        )
        for role in USERS
    ]


async def seed(
    database: Database, *, seed: int, anchor: datetime, progress: Progress | None = None
) -> DemoDataSummary:
    """Store the demo data as ingestion does, in one transaction; if it is already there, change nothing.

    Raises:
        DemoDataError: The anchor cannot be used, or the database contains other data.
        DatabaseError: The database is unavailable, or its schema is of another version.
    """
    data = await asyncio.to_thread(generate, seed, anchor)
    counts = await asyncio.to_thread(lambda: data.counts)
    await database.require_revision(HEAD_REVISION)
    async with database.write() as session:
        # A second seeder waits here and then finds the data; SQLite has one writer anyway.
        await lock_table(session, Deployment)
        found = await _count(session)
        is_empty = not any(found.values())
        wanted = Outcome.ADDED if is_empty else Outcome.PRESENT
        is_stored = (is_empty or found == counts) and await _store(
            session, data, wanted, progress if is_empty and progress else _silent
        )
        if not is_stored:
            listed = ", ".join(f"{number:,} {kind}" for kind, number in found.items() if number)
            # Raised in the transaction, which it rolls back.
            raise DemoDataError(
                f"the database already holds data; use an empty one (found {listed}, not the demo data "
                f"of seed {data.seed} at {data.anchor:%Y-%m-%d %H:%M} UTC)"
            )
    return DemoDataSummary(anchor=data.anchor, written=is_empty, counts=counts)


def _silent(_done: int, _total: int) -> None:
    """Report progress to nobody."""


async def _count(session: WriteSession) -> dict[str, int]:
    """Return how many rows there are of each kind."""
    return {
        kind: await session.scalar(select(func.count()).select_from(table)) or 0
        for kind, table in TABLES.items()
    }


async def _store(session: WriteSession, data: DemoData, wanted: Outcome, progress: Progress) -> bool:
    """Store all records, until something else than wanted becomes of one."""
    for _, batch in data.batches(progress):
        result = await WRITERS[type(batch[0])](session, batch)
        if any(outcome is not wanted for outcome in result.outcomes):
            return False
    return True
