"""The operational history of a busy gateway's week, so that every source has something to read."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import cycle
from typing import Any

from sqlalchemy import insert, select

from models import (
    AuditEvent,
    ConfigChange,
    Deployment,
    ErrorLog,
    HealthCheck,
    Incident,
    Job,
    Notification,
    Request,
    StateTransition,
    User,
    UserAction,
)
from models.database import Database
from models.quality_log import NewScore, append
from models.tables.schema import Table
from tests.bench.large import WEEK

SCORES = 50_000
_SCORES_AT_ONCE = 5_000
_SCORED_AFTER = timedelta(hours=6)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """What the row of any table is made of."""

    number: int
    moment: datetime
    deployment_id: int
    target: str
    user_id: int
    chance: random.Random

    @property
    def place(self) -> Row:
        """The two columns that most tables have for a deployment."""
        return {"deployment_id": self.deployment_id, "target": self.target}

    def turn(self, *choices: str) -> str:
        """The choices in turn."""
        return choices[self.number % len(choices)]


async def fill_history(database: Database, end: datetime, scale: float = 1.0) -> None:
    """Writes the week before `end` for the deployments, users and requests that are there already.

    `scale` multiplies the numbers of `TABLES`.
    """
    chance = random.Random(6)  # noqa: S311  a benchmark
    async with database.read() as session:
        deployments = (await session.execute(select(Deployment.id, Deployment.public_id))).all()
        users = (await session.scalars(select(User.id))).all()
    for table, (full, make) in TABLES.items():
        number = round(full * scale)
        events = (
            Event(n, end - WEEK + n * WEEK / number, *place, user, chance)
            for n, place, user in zip(range(number), cycle(deployments), cycle(users), strict=False)
        )  # fmt: skip
        rows = [make(event) for event in events]
        async with database.write() as session:
            await session.execute(insert(table), rows, execution_options={"render_nulls": True})
        print(f"  {number:,} {table.__tablename__} written", file=sys.stderr)  # noqa: T201  progress
    await _scores(database, end, chance)


def _error_log(event: Event) -> Row:
    draw = event.chance.randrange
    message = event.chance.choice(
        (
            f"upstream timed out after {draw(30_000)} ms, request req_{draw(10**9):09}",
            f"connection to 10.0.{draw(256)}.{draw(256)}:8443 refused",
            f"queue depth {draw(500)} is over the limit of 200",
            f"worker {draw(64)} ran out of memory on GPU {draw(8)}",
        )
    )
    severity = event.turn("error", "warning")
    return event.place | {"logged_at": event.moment, "severity": severity, "message": message}


def _config_change(event: Event) -> Row:
    value = event.chance.randrange(10, 100)
    return event.place | {
        "public_id": f"cfg_{event.number}",
        "changed_at": event.moment,
        "parameter": event.turn("weight", "timeout_s", "retries"),
        "old_value": str(value),
        "new_value": str(value + 1),
        "changed_by": "ops",
    }


def _job(event: Event) -> Row:
    return event.place | {
        "public_id": f"job_{event.number}",
        "type": event.turn("rollout", "scale", "drain"),
        "status": "succeeded",
        "detail": "v1.0 -> v1.1",
        "created_by": "ops",
        "created_at": event.moment,
        "started_at": event.moment,
        "finished_at": event.moment + timedelta(minutes=4),
    }


def _audit_event(event: Event) -> Row:
    return event.place | {
        "occurred_at": event.moment,
        "actor": f"admin_{event.number % 20}",
        "action": event.turn("config.update", "key.create", "login"),
    }


def _state_transition(event: Event) -> Row:
    """Each deployment goes to and fro."""
    states = ("healthy", "degraded") if event.number // 12 % 2 == 0 else ("degraded", "healthy")
    return {
        "deployment_id": event.deployment_id,
        "changed_at": event.moment,
        "from_status": states[0],
        "to_status": states[1],
        "reason": "probe",
    }


def _notification(event: Event) -> Row:
    failed = event.number % 10 == 0
    return {
        "created_at": event.moment,
        "provider": event.turn("slack", "email"),
        "channel": f"team-{event.number % 5}",
        "subject": f"{event.target} is slow",
        "status": "failed" if failed else "sent",
        "error": "channel not found" if failed else None,
        "deployment_id": event.deployment_id,
    }


def _health_check(event: Event) -> Row:
    return {
        "deployment_id": event.deployment_id,
        "checked_at": event.moment,
        "status": "healthy",
        "latency_ms": event.chance.randrange(20, 80),
    }


def _user_action(event: Event) -> Row:
    action = event.turn("key.create", "batch.submit")
    return {"user_id": event.user_id, "occurred_at": event.moment, "action": action}


def _incident(event: Event) -> Row:
    return event.place | {
        "public_id": f"inc_{event.number}",
        "title": "Timeouts",
        "symptoms": "requests time out",
        "severity": event.turn("high", "low"),
        "status": "resolved",
        "started_at": event.moment,
        "resolved_at": event.moment + timedelta(minutes=20),
        "root_cause": "worker out of memory",
        "resolution": "restarted",
    }


TABLES: dict[type[Table], tuple[int, Callable[[Event], Row]]] = {
    ErrorLog: (20_000, _error_log),
    ConfigChange: (2_000, _config_change),
    Job: (2_000, _job),
    AuditEvent: (20_000, _audit_event),
    StateTransition: (5_000, _state_transition),
    Notification: (10_000, _notification),
    HealthCheck: (24_000, _health_check),
    UserAction: (10_000, _user_action),
    Incident: (200, _incident),
}
"""How many rows of each, evenly over the week."""


async def _scores(database: Database, end: datetime, chance: random.Random) -> None:
    """Scores every n-th request."""
    async with database.read() as session:
        query = select(Request.id, Request.created_at).where(Request.created_at < end - _SCORED_AFTER)
        made = (await session.execute(query.order_by(Request.id))).all()
    made = made[:: max(1, len(made) // SCORES)]
    for start in range(0, len(made), _SCORES_AT_ONCE):
        scores = [
            NewScore(
                request_id=row_id,
                score=chance.uniform(0.6, 1),
                scorer="judge",
                scored_at=moment + _SCORED_AFTER,
            )
            for row_id, moment in made[start : start + _SCORES_AT_ONCE]
        ]
        async with database.write() as session:
            await append(session, scores)
    print(f"  {len(made):,} quality scores written", file=sys.stderr)  # noqa: T201  progress
