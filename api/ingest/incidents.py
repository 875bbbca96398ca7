"""Loads incidents: new ones are added, known ones brought up to date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, update

from api.ingest.batches import Record, Reject
from api.ingest.errors import RowRejected
from api.ingest.load import ROWS_PER_BATCH, LoadOptions, Outcome, load
from api.ingest.mapping import ColumnMapping
from api.ingest.summary import IngestSummary, Report, Stored
from api.ingest.transaction import commit
from models import Deployment, Incident, IncidentStatus
from models.database import Database, WriteSession

_CONTENT = (
    "title", "symptoms", "target", "severity", "started_at", "resolved_at", "root_cause", "resolution",
    "status", "deployment_id",
)  # fmt: skip

Content = dict[str, Any]
"""The columns of an incident by name."""


async def ingest_incidents(
    database: Database,
    path: Path,
    mapping: ColumnMapping,
    *,
    rejects: Path | None = None,
    progress: Report | None = None,
    rows_per_batch: int = ROWS_PER_BATCH,
) -> IngestSummary:
    """Adds the incidents of a file and updates those whose content has changed, one transaction a batch.

    An update changes only the fields that the mapping fills. A row that cannot be loaded goes to
    `rejects`. Raises InputError or MappingError before anything is written, and LoadStopped when
    database or disk fail on the way; running it again continues.
    """

    async def store(records: Sequence[Record]) -> Outcome:
        return await commit(database, lambda session: _store(session, records))

    return await load(path, mapping, LoadOptions(rejects, progress, rows_per_batch), lambda _: store)


async def _store(session: WriteSession, records: Sequence[Record]) -> Outcome:
    ids = {record.public_id for record in records}
    found = await session.scalars(
        select(Incident).where(Incident.public_id.in_(ids)).order_by(Incident.id).with_for_update()
    )
    incidents = {incident.public_id: incident for incident in found}
    stored = {
        public_id: {name: getattr(incident, name) for name in _CONTENT}
        for public_id, incident in incidents.items()
    }
    targets = {record.values["target"] for record in records if record.values.get("target")}
    known = await session.execute(
        select(Deployment.public_id, Deployment.id).where(Deployment.public_id.in_(targets))
    )
    changes = plan_changes(records, stored, {row.public_id: row.id for row in known})
    if changes.added:
        await session.execute(
            insert(Incident), [{"public_id": name, **content} for name, content in changes.added.items()]
        )
    if changes.updated:
        await session.execute(
            update(Incident),
            [{"id": incidents[name].id, **content} for name, content in changes.updated.items()],
        )
    return Outcome(
        Stored(added=len(changes.added), updated=changes.updates, already_present=changes.unchanged),
        changes.rejects,
    )


@dataclass(slots=True)
class Changes:
    """What a batch of rows means for the incidents that are stored."""

    added: dict[str, Content] = field(default_factory=dict)
    """New incidents by public id, as the last row about each says."""
    updated: dict[str, Content] = field(default_factory=dict)
    """Stored incidents that change, likewise."""
    updates: int = 0
    """Rows that change an incident that an earlier row or an earlier load has added."""
    unchanged: int = 0
    rejects: list[Reject] = field(default_factory=list)


def plan_changes(
    records: Sequence[Record], stored: Mapping[str, Content], deployments: Mapping[str, int]
) -> Changes:
    """Pure: compares rows, in their order, with the stored incidents by public id."""
    changes = Changes()
    for record in records:
        name = record.public_id
        before = changes.added.get(name) or changes.updated.get(name) or stored.get(name)
        try:
            after = _content_after(before, record.values, deployments)
        except RowRejected as error:
            changes.rejects.append(Reject(record.row, error))
            continue
        if after == before:
            changes.unchanged += 1
            continue
        changes.updates += before is not None
        (changes.updated if name in stored else changes.added)[name] = after
    return changes


def _content_after(
    before: Content | None, values: Mapping[str, Any], deployments: Mapping[str, int]
) -> Content:
    """An incident once a row is applied to it. Raises RowRejected where they contradict each other."""
    after: Content = {**(before or dict.fromkeys(_CONTENT)), **values}
    after["symptoms"] = after["symptoms"] or ""
    if after["resolved_at"] is not None and after["resolved_at"] < after["started_at"]:
        raise RowRejected(
            "started_at: after the stored resolved_at", f"{after['started_at']} > {after['resolved_at']}"
        )
    after["status"] = IncidentStatus.ACTIVE if after["resolved_at"] is None else IncidentStatus.RESOLVED
    if "target" in values:
        after["deployment_id"] = deployments.get(values["target"])
    return after
