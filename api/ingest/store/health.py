"""Health checks, and the transitions and the current status of deployments that follow from them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from api.ingest.records import HealthRecord, StateRecord
from api.ingest.store.events import EventTable, Row, lock_table, replace
from api.ingest.store.references import resolve_deployments
from api.ingest.store.result import Outcome, StoreResult
from models import Deployment, DeploymentStatus, HealthCheck, StateTransition
from models.database import WriteSession

_CHECKS = EventTable[HealthRecord](
    HealthCheck, ("deployment_id", "checked_at"), lambda record, _: dict(record), time="checked_at",
    merge=replace,
)  # fmt: skip
_TRANSITIONS = EventTable[StateRecord](
    StateTransition, ("deployment_id", "changed_at"), lambda record, _: dict(record), time="changed_at"
)


async def store_health(session: WriteSession, records: Sequence[HealthRecord]) -> StoreResult:
    """Store checks, of which the last one about a moment counts, and derive transitions in time order.

    A check that is not newer than the last report about its deployment changes no status: it came late.

    Raises:
        LoadStopped: a deployment is stored under another name.
    """
    await lock_table(session, Deployment)
    seen = [(record.deployment, record.checked_at) for record in records]
    deployments, created = await resolve_deployments(session, seen)
    rows = [
        {
            "deployment_id": deployments[record.deployment].id,
            "checked_at": record.checked_at,
            "status": record.status,
            "latency_ms": record.latency_ms,
            "error": record.error,
        }
        for record in records
    ]
    new, outcomes = await _CHECKS.put(session, rows)
    checks: defaultdict[int, list[Row]] = defaultdict(list)
    for row in sorted(new, key=lambda row: row["checked_at"]):
        checks[row["deployment_id"]].append(row)
    transitions: list[Row] = []
    for deployment in deployments.values():
        transitions += advance(deployment, checks[deployment.id])
    await _TRANSITIONS.put(session, transitions)
    return StoreResult(outcomes=outcomes, deployments_created=created)


def advance(deployment: Deployment, checks: Sequence[Row]) -> list[Row]:
    """Bring a deployment up to its checks, in time order; return the transitions. No database."""
    transitions = []
    for check in checks:
        checked_at = check["checked_at"]
        if check["status"] != DeploymentStatus.DOWN:
            # Also by a check that came late: it was answered then.
            deployment.last_seen_at = max(deployment.last_seen_at or checked_at, checked_at)
        if deployment.updated_at is not None and checked_at <= deployment.updated_at:
            continue
        deployment.updated_at = checked_at
        if check["status"] == deployment.status:
            continue
        transitions.append(_transition(deployment, checked_at, check["status"], check["error"]))
    return transitions


def _transition(deployment: Deployment, moment: datetime, status: str, reason: str | None) -> Row:
    row = {
        "deployment_id": deployment.id,
        "changed_at": moment,
        "from_status": deployment.status,
        "to_status": status,
        "reason": reason,
    }
    deployment.status, deployment.status_reason, deployment.status_since = status, reason, moment
    return row


async def store_states(session: WriteSession, records: Sequence[StateRecord]) -> StoreResult:
    """Store transitions that a history states; the newest one of a deployment is its status.

    Raises:
        LoadStopped: a deployment is stored under another name.
    """
    await lock_table(session, Deployment)
    seen = [(record.deployment, record.changed_at) for record in records]
    deployments, created = await resolve_deployments(session, seen)
    rows = [
        {
            "deployment_id": deployments[record.deployment].id,
            "changed_at": record.changed_at,
            "from_status": record.from_status,
            "to_status": record.to_status,
            "reason": record.reason,
        }
        for record in records
    ]
    _, outcomes = await _TRANSITIONS.put(session, rows)
    for record, outcome in sorted(zip(records, outcomes, strict=True), key=lambda pair: pair[0].changed_at):
        deployment = deployments[record.deployment]
        known = deployment.updated_at
        if outcome is Outcome.ADDED and (known is None or record.changed_at > known):
            _transition(deployment, record.changed_at, record.to_status, record.reason)
            deployment.updated_at = record.changed_at
    return StoreResult(outcomes=outcomes, deployments_created=created)
