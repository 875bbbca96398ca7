"""A vector index in a Chroma folder that a worker process owns for us."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typing_extensions import override

from memory.errors import IndexFault, MemoryUnavailable, WorkerDied
from memory.index.chroma_schema import unavailable
from memory.index.chroma_worker import ChromaWorker
from memory.index.contract import VectorIndex

_CALL_DEADLINE_S = 30.0
"""Any healthy call takes less than a second, behind a write perhaps two."""
_START_DEADLINE_S = 60.0
"""Importing Chroma takes under a second from a warm disk."""
_RETRY_REFUSED_S = 2.0
"""How long a refused folder is not tried again: a busy service must not start a process per question."""
_CLOSED = "incident memory is closed"


class ChromaIndex(VectorIndex):
    """An index in one folder. Its worker starts on first use, and again after it died."""

    min_self_hit_rate = 1.0
    is_exclusive = True

    def __init__(
        self,
        folder: Path,
        *,
        call_deadline_s: float = _CALL_DEADLINE_S,
        python: str = sys.executable,
        read_only: bool = False,
    ) -> None:
        """`call_deadline_s` is how long a worker may stay silent before it counts as hung and is killed.

        With `read_only` a folder without an index is refused, not filled with an empty one.
        """
        self.folder = Path(os.path.abspath(folder))  # noqa: PTH100  resolve() would read the disk
        self._call_deadline_s = call_deadline_s
        self._python = python
        self._options = ("--existing",) if read_only else ()
        self._worker: ChromaWorker | None = None
        self._turn = asyncio.Lock()
        """Held over every exchange with the worker, its start included."""
        self._calls: set[asyncio.Task[Any]] = set()
        self._refused: tuple[float, MemoryUnavailable] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"ChromaIndex({self.folder})"

    @property
    def worker_pid(self) -> int | None:
        """Id of the process that owns the folder for us now."""
        return self._worker.pid if self._worker is not None else None

    @override
    async def open(self) -> None:
        """Start the worker. Raises MemoryUnavailable."""
        self._closed, self._refused = False, None
        await self.collections()

    @override
    async def close(self) -> None:
        """End the worker, which finishes its current write."""
        self._closed = True
        if self._worker is not None:
            await self._worker.stop()
        async with self._turn:  # a process that was just being started
            if self._worker is not None:
                await self._worker.stop()
                self._worker = None

    @override
    async def reset(self) -> None:
        """Move Chroma's files to a sibling folder `*.corrupt-<n>` and start with none."""
        await self.close()
        self._closed, self._refused = False, None
        async with self._turn:
            await self._running("--reset")

    @override
    async def _call(self, operation: str, **arguments: Any) -> Any:
        """Return the result of an operation; it goes on if its caller is cancelled, as the next one waits."""
        call = asyncio.create_task(self._exchange(operation, arguments))
        self._calls.add(call)
        call.add_done_callback(self._ended)
        return await asyncio.shield(call)

    def _ended(self, call: asyncio.Task[Any]) -> None:
        self._calls.discard(call)
        if not call.cancelled():
            call.exception()  # retrieved, also if the caller was cancelled

    async def _exchange(self, operation: str, arguments: dict[str, Any]) -> Any:
        """Call the worker, twice if it dies: every operation can be repeated."""
        async with self._turn:
            try:
                try:
                    return await self._ask(operation, arguments)
                except WorkerDied:
                    return await self._ask(operation, arguments)
            except WorkerDied as died:
                fault = IndexFault("corrupt", f"its worker {died}, twice")
            except IndexFault as error:
                fault = error
        raise unavailable(f"memory folder {self.folder}", arguments.get("collection"), fault)

    async def _ask(self, operation: str, arguments: dict[str, Any]) -> Any:
        worker = await self._running()
        return await worker.call(operation, arguments, deadline_s=self._call_deadline_s)

    async def _running(self, *options: str) -> ChromaWorker:
        """Return the live worker, started if need be. Raises MemoryUnavailable."""
        if self._closed:
            raise MemoryUnavailable(_CLOSED)
        if self._worker is not None and self._worker.pid is not None:
            return self._worker
        if self._refused is not None and time.monotonic() < self._refused[0]:
            raise self._refused[1]
        try:
            return await self._started(options)
        except MemoryUnavailable as error:
            self._refused = time.monotonic() + _RETRY_REFUSED_S, error
            raise

    async def _started(self, options: Sequence[str]) -> ChromaWorker:
        try:
            worker = await ChromaWorker.start(self._python, self.folder, *self._options, *options)
            self._worker = worker
            await worker.opened(deadline_s=_START_DEADLINE_S)
        except WorkerDied as died:
            if self._closed:
                raise MemoryUnavailable(_CLOSED) from None
            if not died.by_signal:
                raise MemoryUnavailable(f"the memory worker did not start: it {died}") from None
            fault = IndexFault("corrupt", f"its worker {died}")  # reading damaged files crashes Chroma
        except IndexFault as error:
            fault = error
        except OSError as error:
            raise MemoryUnavailable(f"the memory worker did not start: {error}") from None
        else:
            return worker
        raise unavailable(f"memory folder {self.folder}", None, fault)
