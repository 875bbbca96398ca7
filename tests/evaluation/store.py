"""Databases of the evaluation: one SQLite file per world, copied for each of its scenarios."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from sqlalchemy import select, update

from models import Deployment, HealthCheck, Request, User, quality_log
from models.database import Database, WriteSession
from models.migrations import upgrade
from models.quality_log import NewScore
from models.request_log import append
from models.tables.schema import Table
from tests.evaluation.scene import Scene, Standing
from tests.evaluation.traffic import Sent
from tests.evaluation.world import DAY, MINUTE, World

CHECKED_EVERY = 20 * MINUTE
_BATCH = 2_000


def url_of(path: Path) -> str:
    """The database in a file."""
    return f"sqlite:///{path}"


async def write_world(
    path: Path, world: World, history: Sequence[Sent], budgets: Mapping[str, Decimal]
) -> None:
    """Makes the database that all scenarios of a world start from."""
    database = Database(url_of(path))
    await upgrade(database)
    async with database.write() as session:
        session.add_all([_deployment(world, number) for number in range(len(world.deployments))])
        session.add_all(
            User(
                id=account.id, public_id=account.public_id, tier=account.tier, created_at=world.created_at,
                updated_at=world.created_at, daily_budget_usd=budgets.get(account.public_id),
            )
            for account in world.accounts
        )  # fmt: skip
        await session.flush()
        await _write_requests(session, world, history)
    async with database.write() as session:
        await _write_scores(session, [s for s in history if s.scored_at and s.scored_at <= world.history_end])
    await database.close()


def _deployment(world: World, number: int) -> Deployment:
    deployed = world.deployments[number]
    return Deployment(
        id=deployed.id,
        public_id=deployed.public_id,
        model=deployed.model,
        backend=deployed.backend,
        region=deployed.region,
        version=deployed.version,
        endpoint=f"https://{deployed.backend}.example.com/{deployed.model}",
        capacity_rpm=deployed.capacity_rpm,
        status="healthy",
        status_reason="all health checks pass",
        status_since=world.created_at,
        created_at=world.created_at,
        updated_at=world.history_end,
    )


async def _write_requests(session: WriteSession, world: World, requests: Sequence[Sent]) -> None:
    for first in range(0, len(requests), _BATCH):
        await append(session, [sent.row(world) for sent in requests[first : first + _BATCH]])


async def write_scene(
    path: Path,
    base: Path,
    scene: Scene,
    last_day: Sequence[Sent],
    scored: Sequence[Sent],
    budget: Decimal | None,
) -> Database:
    """Copies a world and adds a scenario to it; the caller closes the database.

    `scored` are the requests whose scores have arrived since; `budget` is what an exhausted user may spend.
    """
    await asyncio.to_thread(shutil.copyfile, base, path)
    database = Database(url_of(path), connections=32)
    async with database.write() as session:
        await _write_requests(session, scene.world, last_day)
        rows = sorted(scene.rows, key=_when)
        session.add_all(rows)
        session.add_all(_health_checks(scene))
        await session.flush()
        for deployed in scene.world.deployments:
            standing = scene.standings.get(deployed.public_id, Standing())
            await session.execute(
                update(Deployment)
                .where(Deployment.id == deployed.id)
                .values(
                    **_state(scene, standing, scene.capacity.get(deployed.public_id, deployed.capacity_rpm))
                )
            )
        if scene.enforcement and budget is not None:
            changed = update(User).where(User.id == scene.enforcement[0].id).values(daily_budget_usd=budget)
            await session.execute(changed)
    async with database.write() as session:
        await _write_scores(session, scored)
    return database


def _when(row: Table) -> datetime:
    for name in ("created_at", "changed_at", "logged_at", "occurred_at", "started_at", "announced_at"):
        moment = getattr(row, name, None)
        if isinstance(moment, datetime):
            return moment
    raise TypeError(f"{type(row).__name__} has no time")


def _state(scene: Scene, standing: Standing, capacity: int) -> dict[str, object]:
    reported = standing.silent_since or scene.as_of - MINUTE
    return {
        "status": standing.status,
        "status_reason": standing.reason,
        "status_since": standing.since or scene.world.created_at,
        "capacity_rpm": capacity,
        "updated_at": reported,
        "last_seen_at": reported,
    }


def _health_checks(scene: Scene) -> list[HealthCheck]:
    """What the prober saw in the last day, as the standing of each deployment says; nothing in a gap."""
    checks = []
    for deployed in scene.world.deployments:
        standing = scene.standings.get(deployed.public_id, Standing())
        at = scene.as_of - DAY
        while at < (standing.silent_since or scene.as_of):
            status = standing.status if standing.since and at >= standing.since else "healthy"
            down = status == "down"
            checks.append(
                HealthCheck(
                    deployment_id=deployed.id, checked_at=at, status=status,
                    latency_ms=None if down else scene.chance.randint(20, 90),
                    error="no answer" if down else None,
                )
            )  # fmt: skip
            at += CHECKED_EVERY
    return checks


async def _write_scores(session: WriteSession, scored: Sequence[Sent]) -> None:
    ids = {
        public_id: number
        for number, public_id in await session.execute(select(Request.id, Request.public_id))
    }
    scores = [
        NewScore(request_id=ids[sent.public_id], score=sent.score, scorer="judge-2", scored_at=sent.scored_at)
        for sent in scored
        if sent.score is not None and sent.scored_at is not None
    ]
    for first in range(0, len(scores), _BATCH):
        await quality_log.append(session, scores[first : first + _BATCH])
