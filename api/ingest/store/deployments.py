"""What is known of deployments, and the rollouts that follow from new versions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import func, select

from api.ingest.records import DeploymentRecord
from api.ingest.store.events import Row, lock_table
from api.ingest.store.operations import JOBS
from api.ingest.store.references import find_references, resolve_deployments
from api.ingest.store.result import Outcome, StoreResult
from models import Deployment, Job, JobStatus, JobType
from models.database import WriteSession

DERIVED_BY = "arcpoint"
"""`created_by` of jobs that nobody reported."""
_STATED = ("region", "version", "endpoint", "capacity_rpm")


async def store_deployments(session: WriteSession, records: Sequence[DeploymentRecord]) -> StoreResult:
    """Add deployments or bring them up to date; a version other than the one before becomes a rollout.

    What a record leaves out stays. One that is older than the last derived rollout changes nothing.

    Raises:
        LoadStopped: a deployment is stored under another name.
    """
    await lock_table(session, Deployment)
    known = await find_references(session, {"deployments": [record.deployment for record in records]})
    seen = [(record.deployment, record.reported_at) for record in records]
    deployments, created = await resolve_deployments(session, seen)
    newest = await _newest_rollouts(session, (each.id for each in deployments.values()))
    new = deployments.keys() - known.deployments
    rollouts: list[Row] = []
    outcomes: list[Outcome] = []
    for record in records:
        deployment = deployments[record.deployment]
        is_late = deployment.id in newest and record.reported_at < newest[deployment.id]
        changed = {} if is_late else _changes(deployment, record)
        if deployment.version and "version" in changed:
            rollouts.append(_rollout(deployment, record))
            newest[deployment.id] = record.reported_at
        for name, value in changed.items():
            setattr(deployment, name, value)
        is_new = record.deployment in new
        new.discard(record.deployment)
        outcomes.append(Outcome.ADDED if is_new else Outcome.UPDATED if changed else Outcome.PRESENT)
    await JOBS.put(session, rollouts)
    return StoreResult(outcomes=outcomes, deployments_created=created)


def _changes(deployment: Deployment, record: DeploymentRecord) -> Row:
    """Return what a record states that is not so yet."""
    stated = {name: getattr(record, name) for name in _STATED}
    return {
        name: value
        for name, value in stated.items()
        if value is not None and value != getattr(deployment, name)
    }


async def _newest_rollouts(session: WriteSession, deployments: Iterable[int]) -> dict[int, datetime]:
    """Return the time of the last derived rollout by deployment."""
    statement = (
        select(Job.deployment_id, func.max(Job.created_at))
        .where(Job.deployment_id.in_(list(deployments)), Job.created_by == DERIVED_BY)
        .group_by(Job.deployment_id)
    )
    return {key: moment for key, moment in await session.execute(statement) if key is not None}


def _rollout(deployment: Deployment, record: DeploymentRecord) -> Row:
    moment = record.reported_at
    return {
        "public_id": f"job_{deployment.id}_{moment:%Y%m%dT%H%M%S}",
        "type": JobType.ROLLOUT,
        "status": JobStatus.SUCCEEDED,
        "target": deployment.public_id,
        "deployment_id": deployment.id,
        "detail": f"{deployment.version} -> {record.version}",
        "error": None,
        "created_by": DERIVED_BY,
        "created_at": moment,
        "started_at": moment,
        "finished_at": moment,
    }
