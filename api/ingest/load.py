"""One run: batches of a file are read, stored in one transaction each, counted and reported."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, closing, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic

from sqlalchemy.exc import DBAPIError

from api.ingest.errors import LoadStopped
from api.ingest.files import ColumnMapping
from api.ingest.files.lines import Row
from api.ingest.files.reader import Batch, read_batches
from api.ingest.files.rejects import rejects_file
from api.ingest.store import StoreResult, store_records
from api.ingest.summary import IngestSummary, Progress, Report
from models.database import Database

ROWS_PER_BATCH = 2000


async def ingest_file(
    database: Database,
    path: Path,
    mapping: ColumnMapping,
    *,
    rejects: Path | None = None,
    progress: Report | None = None,
    rows_per_batch: int = ROWS_PER_BATCH,
) -> IngestSummary:
    """Load a file from beginning to end, one transaction a batch.

    What is an event is added once, what has a life is brought up to date. Rows that cannot be loaded go to
    the file `rejects`. `progress` is called after each batch.

    Raises:
        InputError: the file or `rejects` cannot be used; nothing was written.
        MappingError: the mapping does not fit the file; nothing was written.
        LoadStopped: database or disk failed on the way; running it again continues.
    """
    tier = mapping.fields.get("tier")
    store = partial(store_records, tier_is_default=tier is not None and tier.constant is not None)
    started, summary = monotonic(), IngestSummary()
    async with _open(path, mapping, rejects, rows_per_batch) as (next_batch, write_rejects):
        try:
            while batch := await next_batch():
                result = await store(database, mapping.record_type, batch.records)
                rejected = _rejects(batch, result)
                if rejected:
                    summary.rejects_file = await write_rejects(rejected)
                # What is counted is committed.
                summary.count(result, rejected, batch.remarks)
                summary.seconds = monotonic() - started
                if progress is not None:
                    progress(Progress(summary, batch.position, batch.size))
        except (DBAPIError, OSError) as error:
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise LoadStopped(
                f"stopped after {summary.rows:,} rows, {summary.stored:,} of them stored: {reason}; "
                "running it again continues"
            ) from error
    return summary


@asynccontextmanager
async def _open(
    path: Path, mapping: ColumnMapping, rejects: Path | None, rows_per_batch: int
) -> AsyncIterator[
    tuple[Callable[[], Awaitable[Batch | None]], Callable[[list[Row]], Awaitable[str | None]]]
]:
    """Give functions that read a batch and write rejects; the latter returns where they are.

    All file work is done in one thread, so that a cancelled load does not close a file while it is read.
    """
    executor = ThreadPoolExecutor(max_workers=1)
    in_thread = partial(asyncio.get_running_loop().run_in_executor, executor)
    files = ExitStack()
    try:
        batches = files.enter_context(closing(read_batches(path, mapping, rows_per_batch)))
        opening = nullcontext(lambda _: None) if rejects is None else rejects_file(rejects, path)
        write = await in_thread(files.enter_context, opening)
        yield partial(in_thread, next, batches, None), partial(in_thread, write)
    finally:
        await in_thread(files.close)
        executor.shutdown(wait=False)


def _rejects(batch: Batch, result: StoreResult) -> list[Row]:
    """Return what is rejected of a batch, in the order of the file."""
    contradictions = result.contradictions.items()
    contradicted = [replace(batch.rows[index], problems=(problem,)) for index, problem in contradictions]
    return sorted([*batch.rejects, *contradicted], key=lambda row: row.line)
