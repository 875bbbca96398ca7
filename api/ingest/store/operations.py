"""How each kind of record of the operational history becomes rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from api.ingest.records import (
    ActivityRecord,
    AuditRecord,
    ChangeRecord,
    ErrorRecord,
    FieldProblem,
    HoursRecord,
    JobRecord,
    MaintenanceRecord,
    NotificationRecord,
)
from api.ingest.records.operations.job_record import FINAL_STATUSES
from api.ingest.records.problems import excerpt
from api.ingest.store.events import EventTable, Row, replace
from api.ingest.store.references import References
from models import (
    AuditEvent,
    ConfigChange,
    ErrorLog,
    Job,
    JobStatus,
    MaintenanceWindow,
    Notification,
    OperatingHours,
    UserAction,
)

_ORDER = {JobStatus.QUEUED: 0, JobStatus.RUNNING: 1} | dict.fromkeys(FINAL_STATUSES, 2)


class _Targeted(Protocol):
    @property
    def target(self) -> str | None: ...


def _targets(records: Sequence[_Targeted]) -> Mapping[str, list[str | None]]:
    return {"deployments": [record.target for record in records]}


def _targeted(record: Any, references: References, *names: str) -> Row:
    """Return the columns of these names, and the deployment that the target names, if it names one."""
    row = {name: getattr(record, name) for name in names}
    return row | {"deployment_id": references.deployments.get(record.target or "")}


def _notification(record: NotificationRecord, references: References) -> Row:
    row = _targeted(record, references, "created_at", "provider", "channel", "subject", "status", "error")
    return row | {"incident_id": references.incidents.get(record.incident or "")}


def _action(record: ActivityRecord, references: References) -> Row | FieldProblem:
    user = references.users.get(record.user)
    if user is None:
        detail = f"{excerpt(record.user)}; send the user, or a request of theirs, before what they did"
        return FieldProblem("user", "unknown", detail)
    row = {name: getattr(record, name) for name in ("occurred_at", "action", "detail")}
    return row | {"user_id": user}


def moved_forward(before: Row, after: Row) -> Row:
    """Return a job after one more record: queued, running, ended, and never back. Pure."""
    if _ORDER[before["status"]] > _ORDER[after["status"]] or before["status"] in FINAL_STATUSES:
        return before
    stated = {name: value for name, value in after.items() if value not in (None, "")}
    # A job was created when it was first heard of; later records may only know when they were sent.
    created_at = min(before["created_at"], after["created_at"])
    return before | stated | {"created_at": created_at}


CHANGES = EventTable[ChangeRecord](
    ConfigChange,
    ("public_id",),
    lambda record, known: (
        _targeted(record, known, "changed_at", "target", "parameter", "old_value", "new_value", "changed_by")
        | {"public_id": record.id}
    ),
    _targets,
)
JOBS = EventTable[JobRecord](
    Job,
    ("public_id",),
    lambda record, known: (
        _targeted(
            *(record, known, "type", "status", "target", "detail", "error", "created_by", "created_at"),
            *("started_at", "finished_at"),
        )
        | {"public_id": record.id}
    ),
    _targets,
    merge=moved_forward,
)
ERRORS = EventTable[ErrorRecord](
    ErrorLog,
    ("logged_at", "target", "message"),
    lambda record, known: _targeted(record, known, "logged_at", "severity", "target", "message"),
    _targets,
)
AUDIT = EventTable[AuditRecord](
    AuditEvent,
    ("occurred_at", "actor", "action", "target"),
    lambda record, known: _targeted(record, known, "occurred_at", "actor", "action", "target", "detail"),
    _targets,
)
NOTIFICATIONS = EventTable[NotificationRecord](
    Notification,
    ("created_at", "provider", "channel", "subject"),
    _notification,
    lambda records: dict(_targets(records)) | {"incidents": [record.incident for record in records]},
    merge=replace,
)
MAINTENANCE = EventTable[MaintenanceRecord](
    MaintenanceWindow,
    ("starts_at", "backend"),
    lambda record, _: dict(record),
    merge=lambda before, after: before | after | {"announced_at": before["announced_at"]},
)
HOURS = EventTable[HoursRecord](
    OperatingHours,
    ("backend", "weekday", "opens_minute"),
    lambda record, _: dict(record),
    merge=replace,
)
ACTIVITY = EventTable[ActivityRecord](
    UserAction,
    ("user_id", "occurred_at", "action"),
    _action,
    lambda records: {"users": [record.user for record in records]},
    time="occurred_at",
)
