"""Writes the story into an empty database, whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from sqlalchemy import select, text

from api.story.cast import DEPLOYMENTS, USERS, DeploymentRole, UserRole
from api.story.incidents import Disturbances, IncidentRecord, read_incidents
from api.story.quality import SCORER, Score, scores
from api.story.traffic import Exchange, week_of_requests
from models import Deployment, Incident, Request, User, quality_log
from models.database import Database, WriteSession
from models.migrations import head_revision
from models.quality_log import NewScore
from models.request_log import append

_BATCH_SIZE = 500
_CAST_AGE = timedelta(days=400)
"""How long before the anchor deployments and users were created: before the oldest incident."""
_BUDGETS_AGE = timedelta(days=45)
"""How long before the anchor tiers and budgets were last changed."""
_FIRST_YEAR = 1971
_LAST_YEAR = 9998

Dated = tuple[str, datetime]


class StoryError(Exception):
    """The story cannot be written: another database or another anchor is needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorySummary:
    """How much the story holds, and whether this call wrote it or found it there."""

    seed: int
    anchor: datetime
    written: bool
    deployments: int
    users: int
    incidents: int
    requests: int
    quality_scores: int


@dataclass(frozen=True)
class Story:
    """Everything that is stored, made from a seed and an anchor alone."""

    seed: int
    anchor: datetime
    incidents: list[IncidentRecord]
    requests: list[Exchange]
    scores: list[Score]

    @cached_property
    def identity(self) -> dict[str, set[Dated]]:
        """Public id and time of every row that makes it this story, by table."""
        created_at = self.anchor - _CAST_AGE
        return {
            "deployments": {(role.public_id, created_at) for role in DEPLOYMENTS},
            "users": {(role.public_id, created_at) for role in USERS},
            "incidents": {(record.public_id, record.started_at) for record in self.incidents},
            "requests": {(sent.public_id, sent.created_at) for sent in self.requests},
        }

    def summary(self, *, written: bool) -> StorySummary:
        """Its size."""
        return StorySummary(
            seed=self.seed,
            anchor=self.anchor,
            written=written,
            deployments=len(DEPLOYMENTS),
            users=len(USERS),
            incidents=len(self.incidents),
            requests=len(self.requests),
            quality_scores=len(self.scores),
        )


def tell(seed: int, anchor: datetime) -> Story:
    """The story of a seed that ends at an anchor, floored to the minute.

    Reads a file and computes for a fraction of a second: not for the event loop.
    Raises StoryError for an anchor that has no time zone or lies outside the years 1971 to 9998.
    """
    if anchor.utcoffset() is None:
        raise StoryError(f"anchor {anchor.isoformat()} has no time zone; pass an aware datetime")
    if not _FIRST_YEAR <= anchor.year <= _LAST_YEAR:
        raise StoryError(
            f"anchor {anchor.isoformat()} leaves no room for the story; "
            f"use one of the years {_FIRST_YEAR} to {_LAST_YEAR}"
        )
    minute = anchor.astimezone(UTC).replace(second=0, microsecond=0)
    incidents = read_incidents(minute)
    disturbances = Disturbances(incidents)
    requests = week_of_requests(seed, minute, disturbances)
    return Story(seed, minute, incidents, requests, scores(seed, minute, requests, disturbances))


async def seed(
    database: Database,
    *,
    seed: int,
    anchor: datetime,
    progress: Callable[[int, int], None] | None = None,
) -> StorySummary:
    """Writes the story in one transaction; where it is already there, adds nothing.

    `progress` is called with the number of requests written and their total. Raises StoryError for an
    anchor that cannot be used and for a database that holds anything else; DatabaseNotMigrated and
    DatabaseUnreachable as the database does.
    """
    story = await asyncio.to_thread(tell, seed, anchor)
    await database.require_revision(await asyncio.to_thread(head_revision))
    async with database.write() as session:
        written = not await _is_told(session, story)
        if written:
            await _write(session, story, progress or _silent)
    return story.summary(written=written)


def _silent(_done: int, _total: int) -> None:
    """Progress that nobody watches."""


async def _is_told(session: WriteSession, story: Story) -> bool:
    """Whether the database holds this story. Raises StoryError when it holds anything else."""
    if session.get_bind().dialect.name == "postgresql":
        # A second seeder waits here and then finds the story; SQLite has one writer anyway.
        await session.execute(text("LOCK TABLE deployments IN SHARE ROW EXCLUSIVE MODE"))
    stored = await _stored_identity(session)
    if not any(stored.values()):
        return False
    foreign = {table: len(stored[table] ^ story.identity[table]) for table in stored}
    if not any(foreign.values()):
        return True
    found = ", ".join(f"{len(rows)} {table}" for table, rows in stored.items() if rows)
    raise StoryError(
        f"the database already holds data; use an empty one (found {found}, not the story of "
        f"seed {story.seed} at {story.anchor:%Y-%m-%d %H:%M} UTC)"
    )


async def _stored_identity(session: WriteSession) -> dict[str, set[Dated]]:
    queries = {
        "deployments": select(Deployment.public_id, Deployment.created_at),
        "users": select(User.public_id, User.created_at),
        "incidents": select(Incident.public_id, Incident.started_at),
        "requests": select(Request.public_id, Request.created_at),
    }
    return {
        table: {(public_id, moment) for public_id, moment in await session.execute(query)}
        for table, query in queries.items()
    }


async def _write(session: WriteSession, story: Story, progress: Callable[[int, int], None]) -> None:
    deployments = [_deployment(role, story.anchor) for role in DEPLOYMENTS]
    users = [_user(role, story.anchor) for role in USERS]
    session.add_all([*deployments, *users])
    await session.flush()
    deployment_ids = {row.public_id: row.id for row in deployments}
    user_ids = {row.public_id: row.id for row in users}
    session.add_all([record.row(deployment_ids) for record in story.incidents])
    await session.flush()
    request_ids: dict[str, int] = {}
    for start in range(0, len(story.requests), _BATCH_SIZE):
        batch = story.requests[start : start + _BATCH_SIZE]
        request_ids |= await append(session, [sent.row(user_ids, deployment_ids) for sent in batch])
        progress(start + len(batch), len(story.requests))
    await quality_log.append(
        session,
        [
            NewScore(
                request_id=request_ids[given.request],
                score=given.score,
                scorer=SCORER,
                scored_at=given.scored_at,
            )
            for given in story.scores
        ],
    )


def _deployment(role: DeploymentRole, anchor: datetime) -> Deployment:
    model, backend = role.public_id.split("/")
    return Deployment(
        public_id=role.public_id,
        model=model,
        backend=backend,
        region=role.region,
        status=role.status,
        status_reason=role.status_reason,
        status_since=anchor - role.status_age,
        created_at=anchor - _CAST_AGE,
        updated_at=anchor - role.report_age,
    )


def _user(role: UserRole, anchor: datetime) -> User:
    return User(
        public_id=role.public_id,
        tier=role.tier,
        daily_budget_usd=role.daily_budget_usd,
        created_at=anchor - _CAST_AGE,
        updated_at=anchor - _BUDGETS_AGE,
    )
