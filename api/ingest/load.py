"""One run: batches are read, stored one transaction each, counted and told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from sqlalchemy.exc import DBAPIError

from api.ingest.batches import Batch, BatchReader, Record, Reject
from api.ingest.errors import LoadStopped
from api.ingest.file_thread import FileThread
from api.ingest.mapping import ColumnMapping
from api.ingest.plan import Plan
from api.ingest.rejects import RejectsFile
from api.ingest.summary import IngestSummary, Progress, Report, Stored

ROWS_PER_BATCH = 2000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the records of one batch."""

    stored: Stored
    rejects: Sequence[Reject] = ()
    """Records that do not go together with what is stored."""


Store = Callable[[Sequence[Record]], Awaitable[Outcome]]
"""Stores the records of one batch in one transaction."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How to load, whatever the kind of file."""

    rejects: Path | None = None
    """Where rejected rows go; None counts them only."""
    report: Report | None = None
    """Told after each batch."""
    rows_per_batch: int = ROWS_PER_BATCH


async def load(
    path: Path, mapping: ColumnMapping, options: LoadOptions, make_store: Callable[[Plan], Store]
) -> IngestSummary:
    """Loads a file from its beginning to its end.

    Raises InputError or MappingError before anything is written, LoadStopped after that.
    """
    async with AsyncExitStack() as resources:
        thread = FileThread()
        resources.callback(thread.end)
        reader = BatchReader(path, mapping, options.rows_per_batch)
        resources.push_async_callback(thread.run, reader.close)
        await thread.run(reader.open)
        rejects = None
        if options.rejects is not None:
            rejects = RejectsFile(options.rejects, path)
            resources.push_async_callback(thread.run, rejects.close)
            await thread.run(rejects.open)
        return await _Run(thread, reader, rejects, make_store(reader.plan)).to_end(options.report)


class _Run:
    def __init__(
        self, thread: FileThread, reader: BatchReader, rejects: RejectsFile | None, store: Store
    ) -> None:
        self._thread = thread
        self._reader = reader
        self._rejects = rejects
        self._store = store
        self._summary = IngestSummary()
        self._reasons: Counter[str] = Counter()

    async def to_end(self, report: Report | None) -> IngestSummary:
        started = monotonic()
        summary = self._summary
        try:
            while batch := await self._thread.run(self._reader.next_batch):
                await self._finish(batch)
                summary.seconds = monotonic() - started
                if report is not None:
                    report(Progress(summary, batch.position, self._reader.source.size))
        except (DBAPIError, OSError) as error:
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise LoadStopped(
                f"stopped after {summary.rows:,} rows, {summary.stored:,} of them stored: {reason}; "
                "running it again continues"
            ) from error
        return summary

    async def _finish(self, batch: Batch) -> None:
        """Stores one batch, then counts it: what is counted is committed."""
        outcome = await self._store(batch.records)
        self._summary.count(outcome.stored)
        rejects = [*batch.rejects, *outcome.rejects]
        if self._rejects is not None and rejects:
            rejects.sort(key=lambda reject: reject.row.line)
            await self._thread.run(self._rejects.add, rejects)
            self._summary.rejects_file = str(self._rejects.path)
        self._reasons.update(reject.error.kind for reject in rejects)
        self._summary.reasons = dict(self._reasons.most_common())
        self._summary.rows += len(batch)
        self._summary.rejected += len(rejects)
