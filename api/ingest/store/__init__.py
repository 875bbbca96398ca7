"""Records become rows of the database, one transaction a batch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from api.ingest.records import (
    ActivityRecord,
    AlertRecord,
    AuditRecord,
    ChangeRecord,
    DeploymentRecord,
    ErrorRecord,
    HealthRecord,
    HoursRecord,
    IncidentRecord,
    JobRecord,
    MaintenanceRecord,
    NotificationRecord,
    QualityRecord,
    Record,
    RequestRecord,
    StateRecord,
    UserRecord,
)
from api.ingest.store.alerts import store_alerts
from api.ingest.store.deployments import store_deployments
from api.ingest.store.health import store_health, store_states
from api.ingest.store.incidents import store_incidents
from api.ingest.store.operations import (
    ACTIVITY,
    AUDIT,
    CHANGES,
    ERRORS,
    HOURS,
    JOBS,
    MAINTENANCE,
    NOTIFICATIONS,
)
from api.ingest.store.quality import store_quality
from api.ingest.store.requests import store_requests
from api.ingest.store.result import Outcome, StoreResult
from api.ingest.store.transaction import commit
from api.ingest.store.users import store_users
from models.database import Database, WriteSession

__all__ = ["WRITERS", "Outcome", "StoreResult", "Writer", "commit", "store_records"]

Writer = Callable[[WriteSession, Sequence[Any]], Awaitable[StoreResult]]

WRITERS: Mapping[type[Record], Writer] = {
    DeploymentRecord: store_deployments,
    UserRecord: store_users,
    RequestRecord: store_requests,
    QualityRecord: store_quality,
    HealthRecord: store_health,
    StateRecord: store_states,
    IncidentRecord: store_incidents,
    AlertRecord: store_alerts,
    ChangeRecord: CHANGES.write,
    JobRecord: JOBS.write,
    ErrorRecord: ERRORS.write,
    AuditRecord: AUDIT.write,
    NotificationRecord: NOTIFICATIONS.write,
    ActivityRecord: ACTIVITY.write,
    MaintenanceRecord: MAINTENANCE.write,
    HoursRecord: HOURS.write,
}
"""How each kind is stored, in the order of a transaction: what others refer to comes first."""


async def store_records(
    database: Database,
    record_type: type[Record],
    records: Sequence[Record],
    *,
    tier_is_default: bool = False,
) -> StoreResult:
    """Store records of one kind in one transaction.

    If `tier_is_default`, the tier of a request is for new users only; known users keep theirs.

    Raises:
        LoadStopped: a user or a deployment is stored under another name.
        DBAPIError: the database failed; nothing of these records is stored.
    """
    if not records:
        return StoreResult(outcomes=[])
    writer = WRITERS[record_type]
    if tier_is_default and record_type is RequestRecord:
        writer = partial(store_requests, tier_is_default=True)
    return await commit(database, lambda session: writer(session, records))
