"""Imports an archive: read in a thread, stored one transaction a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from api.archive.batches import DOCUMENTS_PER_BATCH, ArchiveReader, Batch
from api.archive.changes import ImportPolicy
from api.archive.document import Document
from api.archive.errors import DocumentRejected
from api.archive.readings import Assumptions
from api.archive.store import Stored, store
from api.ingest.file_thread import FileThread
from api.ingest.transaction import commit
from models.database import Database, WriteSession


@dataclass(slots=True, kw_only=True)
class ImportSummary:
    """What became of an archive; every document is added, updated, unchanged, forgotten or rejected."""

    documents: int = 0
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    forgotten: int = 0
    """Of incidents that were forgotten here, which are not written again."""
    rejected: list[DocumentRejected] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was left as it is or left out, a sentence each."""
    seconds: float = 0.0
    dry_run: bool = False

    def count(self, batch: Batch, stored: Stored) -> None:
        """Adds what became of one batch."""
        self.documents += len(batch.documents) + len(batch.rejected)
        self.added += stored.added
        self.updated += stored.updated
        self.unchanged += stored.unchanged
        self.forgotten += stored.forgotten
        self.rejected += sorted([*batch.rejected, *stored.rejected], key=_order)
        self.notes += [*batch.notes, *stored.notes]

    def as_dict(self) -> dict[str, Any]:
        """As a JSON document."""
        return {
            "documents": self.documents,
            "added": self.added,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "forgotten": self.forgotten,
            "rejected": [
                {"place": str(each.place), "field": each.field, "reason": each.reason}
                for each in self.rejected
            ],
            "notes": self.notes,
            "seconds": round(self.seconds, 3),
            "dry_run": self.dry_run,
        }


Report = Callable[[int, int], None]
"""Called with how many documents are done and how many there are, 0 where that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """How to import."""

    policy: ImportPolicy
    assumptions: Assumptions = field(default_factory=Assumptions)
    dry_run: bool = False
    """Whether everything is checked against the database and nothing is kept."""
    per_batch: int = DOCUMENTS_PER_BATCH


async def import_archive(
    database: Database,
    paths: Sequence[Path],
    options: ImportOptions,
    *,
    summary: ImportSummary,
    progress: Report | None = None,
) -> None:
    """Brings the database up to date with an archive; `summary` says how far it got, also when cancelled.

    Raises ArchiveError before anything is written. What is rejected is in the summary, the others go in.
    Killed half-way, the same call again completes it.
    """
    started = monotonic()
    summary.dry_run = options.dry_run
    async with AsyncExitStack() as resources:
        thread = FileThread()
        resources.callback(thread.end)
        reader = ArchiveReader(paths, options.assumptions, per_batch=options.per_batch)
        resources.push_async_callback(thread.run, reader.close)
        await thread.run(reader.open)
        while batch := await thread.run(reader.next_batch):
            summary.count(batch, await _store(database, batch.documents, options))
            summary.seconds = monotonic() - started
            if progress is not None:
                progress(summary.documents, max(reader.total, summary.documents))


async def _store(database: Database, documents: Sequence[Document], options: ImportOptions) -> Stored:
    async def work(session: WriteSession) -> Stored:
        stored = await store(session, documents, options.policy)
        if options.dry_run:
            await session.rollback()
        return stored

    return await commit(database, work)


def _order(error: DocumentRejected) -> tuple[str, int]:
    return error.place.path, error.place.line
