"""The life cycle of incidents, derived from reports about alerts in whatever order they come."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import insert, or_, select, update

from api.ingest.records import AlertRecord, AlertStatus
from api.ingest.store.events import Row, lock_table
from api.ingest.store.references import find_references, in_parts
from api.ingest.store.result import Outcome, StoreResult
from models import Incident, IncidentStatus, Provenance, Severity
from models.database import WriteSession

_ALERTS_PER_SELECT = 200
_WORST_FIRST = tuple(Severity)
_COLUMNS = (
    "id", "public_id", "title", "symptoms", "target", "deployment_id", "severity", "status", "started_at",
    "resolved_at", "forgotten_at",
)  # fmt: skip


async def store_alerts(session: WriteSession, records: Sequence[AlertRecord]) -> StoreResult:
    """Open, keep and close incidents as the reports of their alerts say."""
    await lock_table(session, Incident)
    known = await find_references(session, {"deployments": [record.target for record in records]})
    plan = plan_incidents(records, await _latest(session, {record.alert for record in records}))
    for row in plan.touched.values():
        row["deployment_id"] = known.deployments.get(row["target"] or "")
    if added := [row for row in plan.touched.values() if "id" not in row]:
        await session.execute(insert(Incident), added)
    if changed := [row for row in plan.touched.values() if "id" in row]:
        await session.execute(update(Incident), changed)
    return StoreResult(outcomes=plan.outcomes)


async def _latest(session: WriteSession, alerts: Collection[str]) -> dict[str, Row]:
    """Return the last incident of each alert, by alert."""
    columns = [getattr(Incident, name) for name in _COLUMNS]
    latest: dict[str, Row] = {}
    for part in in_parts(alerts, _ALERTS_PER_SELECT):
        of_alert = or_(*(Incident.public_id.startswith(f"{name}_", autoescape=True) for name in part))
        statement = select(*columns).where(of_alert).order_by(Incident.started_at, Incident.id)
        for row in (await session.execute(statement)).mappings():
            alert, _, started = row["public_id"].rpartition("_")
            if alert in alerts and started.isdecimal():
                latest[alert] = dict(row)
    return latest


@dataclass(slots=True)
class IncidentPlan:
    """What a batch of reports means for incidents."""

    touched: dict[str, Row] = field(default_factory=dict)
    """Incidents that are new or changed, by public id; those that are stored have their `id`."""
    outcomes: list[Outcome] = field(default_factory=list)


def plan_incidents(records: Sequence[AlertRecord], latest: Mapping[str, Row]) -> IncidentPlan:
    """Apply reports, in their order, to the last incident of each alert. Pure.

    An alert may move its start backwards while it fires, fire again, be repeated, be resolved without ever
    having fired, and be sent again by another node after it was resolved.
    """
    plan, last = IncidentPlan(), dict(latest)
    for record in records:
        before = last.get(record.alert)
        after = _after(before, record)
        if after is None or after == before:
            plan.outcomes.append(Outcome.PRESENT)
            continue
        is_known = before is not None and before["public_id"] == after["public_id"]
        plan.touched[after["public_id"]] = last[record.alert] = after
        plan.outcomes.append(Outcome.UPDATED if is_known else Outcome.ADDED)
    return plan


def _after(before: Row | None, record: AlertRecord) -> Row | None:
    """Return the last incident of an alert after one report; None if the report changes nothing."""
    is_open = before is not None and before["resolved_at"] is None
    if before is not None and before["forgotten_at"] is not None and is_open:
        return None
    # What ended before this report began is another outbreak.
    is_past = before is not None and not is_open and record.starts_at > before["resolved_at"]
    if before is None or is_past:
        return _opened(record) if record.status is AlertStatus.FIRING else _closed(_opened(record), record)
    if not is_open:
        return None
    if record.status is AlertStatus.FIRING:
        # As severe as it ever was said to be, in whatever order that was said.
        severity = min(before["severity"], record.severity, key=_WORST_FIRST.index)
        return before | {"started_at": min(before["started_at"], record.starts_at), "severity": severity}
    ends_at = record.ends_at or record.starts_at
    is_late = max(record.starts_at, ends_at) < before["started_at"]
    return None if is_late else _closed(before, record)


def _opened(record: AlertRecord) -> Row:
    values: dict[str, Any] = dict.fromkeys(("deployment_id", "resolved_at", "forgotten_at"))
    return values | {
        "public_id": f"{record.alert}_{int(record.starts_at.timestamp())}",
        "title": record.title,
        "symptoms": record.symptoms,
        "target": record.target,
        "severity": record.severity,
        "status": IncidentStatus.ACTIVE,
        "started_at": record.starts_at,
        "provenance": Provenance.IMPORT,
    }


def _closed(incident: Row, record: AlertRecord) -> Row:
    # Never before the report's own start, else it would be another outbreak when it is repeated.
    resolved_at = max(record.ends_at or record.starts_at, record.starts_at, incident["started_at"])
    return incident | {"resolved_at": resolved_at, "status": IncidentStatus.RESOLVED}
