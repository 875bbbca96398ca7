"""Incidents are added, and known ones are brought up to date."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import insert, select, update

from api.ingest.records import FieldProblem, IncidentRecord
from api.ingest.store.result import Outcome, StoreResult
from models import Deployment, Incident, IncidentStatus
from models.database import WriteSession

_CONTENT = (
    "title", "symptoms", "target", "severity", "started_at", "resolved_at", "root_cause", "resolution",
    "status", "deployment_id",
)  # fmt: skip

Content = dict[str, Any]
"""The columns of an incident by name."""


async def store_incidents(session: WriteSession, records: Sequence[IncidentRecord]) -> StoreResult:
    """Add the new ones of some records and update those whose content has changed.

    Only fields in a record's `model_fields_set` change. A forgotten incident never changes again.
    """
    ids = {record.id for record in records}
    found = await session.scalars(
        select(Incident).where(Incident.public_id.in_(ids)).order_by(Incident.id).with_for_update()
    )
    incidents = {incident.public_id: incident for incident in found}
    targets = {record.target for record in records if record.target}
    known = await session.execute(
        select(Deployment.public_id, Deployment.id).where(Deployment.public_id.in_(targets))
    )
    stored = {
        name: {column: getattr(each, column) for column in _CONTENT} for name, each in incidents.items()
    }
    forgotten = {name for name, each in incidents.items() if each.forgotten_at is not None}
    changes = plan_changes(records, stored, {row.public_id: row.id for row in known}, forgotten)
    if changes.added:
        rows = [{"public_id": name, **content} for name, content in changes.added.items()]
        await session.execute(insert(Incident), rows)
    if changes.updated:
        rows = [{"id": incidents[name].id, **content} for name, content in changes.updated.items()]
        await session.execute(update(Incident), rows)
    return StoreResult(outcomes=changes.outcomes)


@dataclass(slots=True)
class IncidentChanges:
    """What a batch of records means for the stored incidents."""

    added: dict[str, Content] = field(default_factory=dict)
    """New incidents by public id, as the last record of each describes them."""
    updated: dict[str, Content] = field(default_factory=dict)
    """Stored incidents that change, likewise."""
    outcomes: list[Outcome | FieldProblem] = field(default_factory=list)
    """By the index of the record."""


def plan_changes(
    records: Sequence[IncidentRecord],
    stored: Mapping[str, Content],
    deployments: Mapping[str, int],
    forgotten: Collection[str] = (),
) -> IncidentChanges:
    """Compare records, in their order, with the stored incidents by public id. Pure."""
    changes = IncidentChanges()
    for record in records:
        name = record.id
        before = changes.added.get(name) or changes.updated.get(name) or stored.get(name)
        after = _content_after(before, record, deployments)
        started, resolved = after["started_at"], after["resolved_at"]
        if after == before or name in forgotten:
            changes.outcomes.append(Outcome.PRESENT)
            continue
        if resolved is not None and resolved < started:
            problem = FieldProblem("started_at", "after the stored resolved_at", f"{started} > {resolved}")
            changes.outcomes.append(problem)
            continue
        (changes.updated if name in stored else changes.added)[name] = after
        changes.outcomes.append(Outcome.ADDED if before is None else Outcome.UPDATED)
    return changes


def _content_after(before: Content | None, record: IncidentRecord, deployments: Mapping[str, int]) -> Content:
    """Return an incident once a record is applied to it."""
    given = {name: getattr(record, name) for name in record.model_fields_set - {"id"}}
    after: Content = {**(before or dict.fromkeys(_CONTENT)), **given}
    after["symptoms"] = after["symptoms"] or ""
    after["status"] = IncidentStatus.ACTIVE if after["resolved_at"] is None else IncidentStatus.RESOLVED
    if "target" in given:
        after["deployment_id"] = deployments.get(given["target"])
    return after
