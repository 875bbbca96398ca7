"""Imports an archive: read in a thread, stored one transaction a batch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, fields
from pathlib import Path
from time import monotonic
from typing import Any

from sqlalchemy import select

from api.archive.changes import ImportPolicy, PlannedChanges, plan_changes
from api.archive.documents import ImportDefaults, IncidentDocument
from api.archive.errors import DocumentRejected, DocumentSkipped
from api.archive.reader import DOCUMENTS_PER_BATCH, ArchiveReader, Item
from api.ingest.store.transaction import commit
from models import Deployment, Incident, Postmortem
from models.database import Database, WriteSession

Report = Callable[[int, int], None]
"""Called with the number of documents done and of all there are, or of those read so far."""


@dataclass(slots=True, kw_only=True)
class ImportSummary:
    """Counts of an import; every document is added, updated, unchanged, forgotten or rejected."""

    documents: int = 0
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    forgotten: int = 0
    """Documents of incidents that were forgotten here, which are not written again."""
    rejected: list[DocumentRejected] = field(default_factory=list)
    skipped: list[DocumentSkipped] = field(default_factory=list)
    """Files that are no documents, which are not among those."""
    notes: list[str] = field(default_factory=list)
    """What was kept, left out or found in the text, a sentence each."""
    seconds: float = 0.0
    dry_run: bool = False

    def add(self, other: ImportSummary) -> None:
        """Add the counts of one batch."""
        for name in (
            "documents",
            "added",
            "updated",
            "unchanged",
            "forgotten",
            "rejected",
            "skipped",
            "notes",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as JSON."""
        rejected = [
            {"place": str(each.location), "field": each.field, "reason": each.reason}
            for each in self.rejected
        ]
        counts = {each.name: getattr(self, each.name) for each in fields(self)}
        skipped = [{"place": str(each.location), "reason": each.reason} for each in self.skipped]
        return counts | {"rejected": rejected, "skipped": skipped, "seconds": round(self.seconds, 3)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """How to import."""

    policy: ImportPolicy
    defaults: ImportDefaults = field(default_factory=ImportDefaults)
    dry_run: bool = False
    """True if everything is checked against the database and nothing is kept."""
    per_batch: int = DOCUMENTS_PER_BATCH


async def import_archive(
    database: Database,
    paths: Sequence[Path],
    options: ImportOptions,
    *,
    summary: ImportSummary,
    progress: Report | None = None,
) -> None:
    """Bring the database up to date with an archive; `summary` counts also what was done before a stop.

    Documents that are rejected are in the summary. An import that was killed is completed by the same call.

    Raises:
        ArchiveError: a path cannot be used; nothing was written.
    """
    started = monotonic()
    summary.dry_run = options.dry_run
    async with AsyncExitStack() as resources:
        reader = ArchiveReader(paths, options.defaults, per_batch=options.per_batch)
        resources.push_async_callback(asyncio.to_thread, reader.close)
        await asyncio.to_thread(reader.open)
        while batch := await asyncio.to_thread(reader.next_batch):
            summary.add(await _store(database, batch, options))
            summary.seconds = monotonic() - started
            if progress is not None:
                progress(summary.documents, max(reader.total, summary.documents))


async def _store(database: Database, batch: Sequence[Item], options: ImportOptions) -> ImportSummary:
    async def work(session: WriteSession) -> ImportSummary:
        store = _BatchStore(session, options.policy)
        await store.load([item for item in batch if isinstance(item, IncidentDocument)])
        for item in batch:
            store.put(item)
        await store.add_new()
        if options.dry_run:
            await session.rollback()
        return store.result

    return await commit(database, work)


class _BatchStore:
    """Stores a batch; rows that stay as they are are not written, so that nothing is queued for memory."""

    def __init__(self, session: WriteSession, policy: ImportPolicy) -> None:
        self._session = session
        self._policy = policy
        self._new: list[tuple[Incident, dict[str, Any]]] = []
        self.result = ImportSummary()

    async def load(self, documents: Sequence[IncidentDocument]) -> None:
        """Load and lock what the database holds of the documents."""
        names = [document.public_id for document in documents]
        targets = {document.columns.get("target") for document in documents} - {None}
        incidents = await self._session.scalars(
            select(Incident).where(Incident.public_id.in_(names)).order_by(Incident.id).with_for_update()
        )
        self._incidents = {incident.public_id: incident for incident in incidents}
        postmortems = await self._session.scalars(
            select(Postmortem)
            .where(Postmortem.incident_id.in_([incident.id for incident in self._incidents.values()]))
            .order_by(Postmortem.id)
            .with_for_update()
        )
        self._postmortems = {postmortem.incident_id: postmortem for postmortem in postmortems}
        deployments = await self._session.execute(
            select(Deployment.public_id, Deployment.id).where(Deployment.public_id.in_(targets))
        )
        self._deployments = {row.public_id: row.id for row in deployments}

    def put(self, item: Item) -> None:
        """Count an item and update the rows of a document; new incidents wait for `add_new`."""
        if isinstance(item, DocumentSkipped):
            self.result.skipped.append(item)
            return
        self.result.documents += 1
        try:
            if isinstance(item, DocumentRejected):
                raise item
            self._put(item)
        except DocumentRejected as error:
            self.result.rejected.append(error)

    def _put(self, document: IncidentDocument) -> None:
        result = self.result
        result.notes += document.notes
        incident = self._incidents.get(document.public_id)
        if incident is not None and incident.forgotten_at is not None:
            result.forgotten += 1
            forgotten = f"incident {document.public_id} was forgotten here; it is not written again"
            result.notes.append(f"{document.location}: {forgotten}")
            return
        postmortem = None if incident is None else self._postmortems.get(incident.id)
        changes = plan_changes(document, incident, postmortem, self._policy)
        if "target" in changes.incident:
            changes.incident["deployment_id"] = self._deployments.get(document.columns["target"])
        if changes.kept:
            kept = ", ".join(changes.kept)
            result.notes.append(f"{document.location}: kept as it is here: {kept}; --replace overwrites it")
        if incident is None:
            result.added += 1
            self._new.append((Incident(**changes.incident), changes.postmortem))
        elif not changes.incident and not changes.postmortem:
            result.unchanged += 1
        else:
            result.updated += 1
            self._update(incident, postmortem, changes)

    def _update(self, incident: Incident, postmortem: Postmortem | None, changes: PlannedChanges) -> None:
        rows = ((incident, changes.incident), (postmortem, changes.postmortem))
        for row, columns in rows if postmortem else rows[:1]:
            for name, value in columns.items():
                setattr(row, name, value)
        if postmortem is None and changes.postmortem:
            self._session.add(Postmortem(incident_id=incident.id, **changes.postmortem))

    async def add_new(self) -> None:
        """Add the new incidents and then their postmortems, which need their keys."""
        self._session.add_all([incident for incident, _ in self._new])
        await self._session.flush()
        self._session.add_all(
            [Postmortem(incident_id=incident.id, **columns) for incident, columns in self._new if columns]
        )
