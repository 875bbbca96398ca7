"""Rows of the operational history that a test builds in a line each."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import insert

from models import AuditEvent, ConfigChange, ErrorLog, Job, Notification, StateTransition
from models.tables.schema import Table
from tests.support.gateway import HOUR, MINUTE, NOON, Gateway


def job(public_id: str = "job_1", **columns: Any) -> Job:
    """A rollout on the router that began an hour before NOON and runs, unless it has a `status`."""
    given = {
        "public_id": public_id,
        "type": "rollout",
        "status": "running",
        "target": "router",
        "detail": "v1 -> v2",
        "created_by": "ci",
        "created_at": NOON - HOUR,
        "started_at": NOON - HOUR,
    }
    return Job(**given | columns)


def error(message: str = "pool exhausted", at: datetime = NOON - HOUR, **columns: Any) -> ErrorLog:
    """A line of the router's log."""
    given = {"logged_at": at, "severity": "error", "target": "router", "message": message}
    return ErrorLog(**given | columns)


def config(public_id: str = "cfg_1", at: datetime = NOON - HOUR, **columns: Any) -> ConfigChange:
    """A timeout of the router that was halved."""
    given = {
        "public_id": public_id,
        "changed_at": at,
        "target": "router",
        "parameter": "timeout_ms",
        "old_value": "3000",
        "new_value": "1500",
        "changed_by": "kim",
    }
    return ConfigChange(**given | columns)


def audit(action: str = "key.revoke", at: datetime = NOON - HOUR, **columns: Any) -> AuditEvent:
    """Something that kim did to the router."""
    given = {"occurred_at": at, "actor": "kim", "action": action, "target": "router"}
    return AuditEvent(**given | columns)


def transition(
    deployment_id: int,
    before: str = "healthy",
    after: str = "down",
    at: datetime = NOON - HOUR,
    **columns: Any,
) -> StateTransition:
    """A deployment that went down."""
    given = {"deployment_id": deployment_id, "changed_at": at, "from_status": before, "to_status": after}
    return StateTransition(**given | columns)


def alert(subject: str = "All is lost", at: datetime = NOON - HOUR, **columns: Any) -> Notification:
    """A page that was sent."""
    given = {
        "created_at": at,
        "provider": "pagerduty",
        "channel": "oncall",
        "subject": subject,
        "status": "sent",
    }
    return Notification(**given | columns)


async def flood(gateway: Gateway, table: type[Table], number: int, **values: Any) -> None:
    """Adds so many rows as fast as the database can; a value that can be called is given the row's number."""
    rows = [
        {name: value(row) if callable(value) else value for name, value in values.items()}
        for row in range(number)
    ]
    async with gateway.database.write() as session:
        for start in range(0, number, 2_000):
            await session.execute(insert(table), rows[start : start + 2_000])


def events_of(name: str, deployment_id: int, at: datetime) -> list[Table]:
    """One row of each kind about a deployment, all of one moment."""
    about = {"target": name, "deployment_id": deployment_id}
    public_id = f"{name}_{at:%d%H%M%S%f}"
    return [
        job(public_id, created_at=at - MINUTE, started_at=at, **about),
        error(f"{name} lost 3 of 8 workers", at, **about),
        config(public_id, at, **about),
        audit("config.update", at, **about),
        audit("key.revoke", at, detail=f"of {name}", **about),
        transition(deployment_id, at=at, reason=f"{name} is silent"),
        alert(f"{name} is down", at, status="failed", error="no answer", deployment_id=deployment_id),
    ]
