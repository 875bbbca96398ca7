"""What surrounds the traffic of a test's gateway: schedules, health checks, actions, scores, runbooks."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from context_builder.telemetry.runbooks import Runbooks
from models import HealthCheck, MaintenanceWindow, OperatingHours, PollerState, Request, UserAction
from models.quality_log import NewScore, append
from models.tables.schema import Table
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway


def hours(backend: str = "edge", zone: str = "Europe/Berlin", days: range = range(5)) -> list[OperatingHours]:
    """Monday to Friday, 8 to 18 of the local clock."""
    return [
        OperatingHours(
            backend=backend, weekday=day, opens_minute=8 * 60, closes_minute=18 * 60, time_zone=zone
        )
        for day in days
    ]


def maintenance(
    start: datetime, end: datetime, announced: datetime, reason: str = "disks", backend: str = "edge"
) -> MaintenanceWindow:
    """Announced work on a site."""
    return MaintenanceWindow(
        backend=backend, starts_at=start, ends_at=end, announced_at=announced, reason=reason
    )


def checks(number: int, latency_ms: int | None, *moments: datetime) -> list[HealthCheck]:
    """Health checks of a deployment; without a latency they got no answer."""
    return [
        HealthCheck(deployment_id=number, checked_at=at, status="healthy", latency_ms=latency_ms)
        for at in moments
    ]


def status_page(backend: str, at: datetime = NOON - MINUTE, **columns: Any) -> PollerState:
    """A status page that was read without trouble at a moment."""
    given = {
        "name": f"status_page {backend}",
        "kind": "status_page",
        "about": backend,
        "polled_at": at,
        "succeeded_at": at,
        "next_at": at + MINUTE,
        "failures": 0,
        "summary": "All Systems Operational",
        "memory": {},
    }
    return PollerState(**given | columns)


def action(number: int, at: datetime = NOON - HOUR, name: str = "key.create") -> UserAction:
    """Something that a user did."""
    return UserAction(user_id=number, occurred_at=at, action=name, detail="for the nightly batch")


def runbook(folder: Path, name: str, text: str, at: datetime = NOON - 9 * DAY) -> Runbooks:
    """Writes a runbook that was last changed at a moment; gives those of the folder."""
    (folder / name).write_text(text)
    os.utime(folder / name, (at.timestamp(), at.timestamp()))
    return Runbooks(folder)


async def score(gateway: Gateway, number: int, arrived: datetime | None = None) -> None:
    """Scores the newest successful requests, those that have no score yet, an hour later or at `arrived`."""
    async with gateway.database.write() as session:
        rows = await session.execute(
            select(Request.id, Request.created_at)
            .where(Request.status == "success")
            .order_by(Request.created_at.desc(), Request.id)
            .limit(number)
        )
        scores = [
            NewScore(
                request_id=row[0], score=row[0] % 5 / 5, scorer="judge", scored_at=arrived or row[1] + HOUR
            )
            for row in rows
        ]
        await append(session, scores)


async def surround(gateway: Gateway, folder: Path) -> None:
    """A schedule of every backend, checks of every deployment, actions of every user, scores, a runbook."""
    rows: list[Table] = []
    for backend in sorted({name.partition("/")[2] for name in gateway.deployments}):
        rows += hours(backend)
        rows.append(status_page(backend))
        rows.append(maintenance(NOON + HOUR, NOON + 2 * HOUR, NOON - 3 * DAY, backend=backend))
    for name, number in gateway.deployments.items():
        rows += checks(number, len(name), *(NOON - n * HOUR - MINUTE for n in range(60)))
    for name, (number, _) in gateway.users.items():
        rows += [action(number, name=f"key.create.{name}"), action(number, NOON - 2 * DAY)]
    await gateway.add(*rows)
    await score(gateway, 300)
    gateway.runbooks = runbook(
        folder, "wrong.md", "# When something is wrong\n\nLook at the deployments first."
    )
