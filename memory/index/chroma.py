"""A vector index in a folder of Chroma, which a worker process owns for us."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from memory.embedding.embedder import Vectors
from memory.errors import CollectionMissing, MemoryCorrupt, MemoryUnavailable
from memory.index import ipc as frames
from memory.index.chroma_schema import microseconds
from memory.index.contract import Hit, IndexRows
from memory.index.ipc import Document
from memory.index.worker import Worker, WorkerDied, WorkerFault, WorkerHung

_ROOT = Path(__file__).parent.parent
# The worker must find this package, and not one of the same name, wherever it is started.
_BOOTSTRAP = (
    "import sys; root = sys.argv.pop(1); root in sys.path or sys.path.insert(0, root); "
    "from memory.index.chroma_worker import main; main(sys.argv[1:])"
)

_CALL_DEADLINE_S = 30.0
"""Any healthy call takes less than a second, behind a write perhaps two."""
_START_DEADLINE_S = 60.0
"""Importing Chroma takes under a second from a warm disk."""
_REFUSED_FOR_S = 2.0
"""How long a refused folder is not tried again: a busy service must not start a process per question."""

_ROWS_PER_UPSERT = 100
"""A query waits behind at most one upsert; this one takes some 200 ms in an index of 10,000 rows."""
_ROWS_PER_READ = 5_000
_IDS_PER_DELETE = 1_000


class ChromaIndex:
    """Implements VectorIndex on one folder, started on first use and started again when it dies."""

    least_self_hits = 1.0
    is_exclusive = True

    def __init__(
        self, folder: Path, *, call_deadline_s: float = _CALL_DEADLINE_S, python: str = sys.executable
    ) -> None:
        """`call_deadline_s` is after how long a silent worker counts as hung and is killed."""
        self.folder = Path(os.path.abspath(folder))  # noqa: PTH100  resolve() would read the disk
        self._call_deadline_s = call_deadline_s
        self._python = python
        self._worker: Worker | None = None
        self._starting: asyncio.Task[Worker] | None = None
        self._refused: tuple[float, MemoryUnavailable] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"ChromaIndex({self.folder})"

    @property
    def worker_pid(self) -> int | None:
        """The process that owns the folder for us now."""
        return self._worker.pid if self._worker is not None and self._worker.alive else None

    async def open(self) -> None:
        """Starts the worker. Raises MemoryUnavailable."""
        self._closed = False
        self._refused = None
        await self._running()

    async def close(self) -> None:
        """Ends the worker, which finishes the write that it is in."""
        self._closed = True
        if self._starting is not None:
            await asyncio.wait([self._starting])
        if self._worker is not None:
            await self._worker.stop()
            self._worker = None

    async def start_anew(self) -> None:
        """Moves Chroma's files to a sibling folder `*.corrupt-<n>` and starts with none."""
        await self.close()
        self._closed = False
        self._refused = None
        await self._running("--start-anew")

    async def collections(self) -> frozenset[str]:
        """The names of all collections."""
        return frozenset((await self._call("collections"))["names"])

    async def create(self, collection: str) -> None:
        """Makes an empty collection; one of that name stays as it is."""
        await self._call("create", collection=collection)

    async def rename(self, collection: str, name: str) -> None:
        """Gives a collection another name; if there is one of that name, drops it instead."""
        await self._call("rename", collection=collection, name=name)

    async def drop(self, collection: str) -> None:
        """Removes a collection; harmless when there is none of that name."""
        await self._call("drop", collection=collection)

    async def upsert(self, collection: str, rows: IndexRows) -> None:
        """Stores rows in batches that queries can pass between."""
        for start in range(0, len(rows.keys), _ROWS_PER_UPSERT):
            batch = slice(start, start + _ROWS_PER_UPSERT)
            await self._call(
                "upsert",
                collection=collection,
                ids=list(rows.keys[batch]),
                vectors=frames.pack(rows.vectors[batch]),
                stamps=list(rows.stamps[batch]),
                known_at=[microseconds(moment) for moment in rows.known_at[batch]],
            )

    async def delete(self, collection: str, keys: Sequence[str]) -> None:
        """Removes rows; keys that are not stored are ignored."""
        for start in range(0, len(keys), _IDS_PER_DELETE):
            batch = list(keys[start : start + _IDS_PER_DELETE])
            await self._call("delete", collection=collection, ids=batch)

    async def compact(self) -> None:
        """Writes Chroma's file anew, without what was removed."""
        await self._call("compact")

    async def query(
        self, collection: str, vectors: Vectors, *, limit: int, known_before: datetime | None = None
    ) -> list[list[Hit]]:
        """For each vector the closest rows, closest first, that were known before the moment."""
        found = await self._call(
            "query",
            collection=collection,
            vectors=frames.pack(vectors),
            limit=limit,
            known_before=None if known_before is None else microseconds(known_before),
        )
        return [[Hit(key, similarity) for key, similarity in hits] for hits in found["hits"]]

    async def stamps(self, collection: str) -> Mapping[str, str]:
        """The stamp of every stored row by key."""
        stamps: dict[str, str] = {}
        while True:
            page = await self._call("stamps", collection=collection, limit=_ROWS_PER_READ, offset=len(stamps))
            stamps.update(zip(page["ids"], page["stamps"], strict=True))
            if len(page["ids"]) < _ROWS_PER_READ:
                return stamps

    async def count(self, collection: str) -> int:
        """How many rows are stored."""
        return int((await self._call("count", collection=collection))["count"])

    async def _call(self, operation: str, **arguments: Any) -> Document:
        """One request; asked again once when the worker died over it, since every request may be repeated."""
        request = {"op": operation} | arguments
        with contextlib.suppress(WorkerDied):
            return await self._ask(request)
        try:
            return await self._ask(request)
        except WorkerDied as died:
            raise MemoryCorrupt(self._unreadable(f"its worker {died}, twice")) from None

    async def _ask(self, request: Document) -> Document:
        worker = await self._running()
        try:
            return await worker.call(request, deadline_s=self._call_deadline_s)
        except WorkerFault as fault:
            self._fail(fault, request.get("collection"))
        except WorkerHung as hung:
            raise MemoryUnavailable(
                f"the memory worker {hung} and was stopped; the next use starts another"
            ) from None

    async def _running(self, *options: str) -> Worker:
        """The live worker. One start at a time is shared by all who wait, and survives their cancellation."""
        if self._closed:
            raise MemoryUnavailable("incident memory is closed")
        if self._worker is not None and self._worker.alive:
            return self._worker
        if self._refused is not None and time.monotonic() < self._refused[0]:
            raise self._refused[1]
        if self._starting is None:
            self._starting = asyncio.create_task(self._start(options))
            self._starting.add_done_callback(self._started)
        return await asyncio.shield(self._starting)

    async def _start(self, options: Sequence[str]) -> Worker:
        command = [self._python, "-P", "-c", _BOOTSTRAP, str(_ROOT), str(self.folder), *options]
        try:
            return await Worker.start(command, deadline_s=_START_DEADLINE_S)
        except WorkerFault as fault:
            self._fail(fault, None)
        except WorkerDied as died:
            if died.by_signal:  # reading damaged files crashes Chroma
                raise MemoryCorrupt(self._unreadable(f"its worker {died}")) from None
            raise MemoryUnavailable(f"the memory worker did not start: it {died}") from None
        except WorkerHung as hung:
            raise MemoryUnavailable(f"the memory worker did not start: it {hung}") from None
        except OSError as error:
            raise MemoryUnavailable(f"the memory worker did not start: {error}") from None

    def _started(self, task: asyncio.Task[Worker]) -> None:
        self._starting = None
        error = None if task.cancelled() else task.exception()
        if error is None and not task.cancelled():
            self._worker = task.result()
        elif isinstance(error, MemoryUnavailable):
            self._refused = time.monotonic() + _REFUSED_FOR_S, error

    def _fail(self, fault: WorkerFault, collection: str | None) -> NoReturn:
        message = " ".join(str(fault).split())
        if fault.kind == "refused":
            raise MemoryUnavailable(message) from None
        if fault.kind == "missing":
            raise CollectionMissing(
                f"memory folder {self.folder} has no collection {collection}; run `arcpoint memory rebuild`"
            ) from None
        if fault.kind == "corrupt":
            raise MemoryCorrupt(self._unreadable(message)) from None
        raise MemoryUnavailable(f"memory folder {self.folder} cannot be used: {message}") from None

    def _unreadable(self, why: str) -> str:
        return (
            f"memory folder {self.folder} is damaged ({why}); "
            "`arcpoint memory rebuild` makes it anew from the database"
        )
