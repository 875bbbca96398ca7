"""Counts requests as they end, and stores them behind their backs: in batches, never while one waits."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import islice

import structlog
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from api.ingest.errors import LoadStopped
from api.metrics.metrics import DroppedReport, ProxiedReport
from api.proxy.call import CallRecord
from api.proxy.lifecycle import State
from context_builder.observation import Observe, ignore
from models.errors import DatabaseError

log = structlog.get_logger(__name__)

MAX_WAITING = 20_000
"""Records that wait for the database; beyond it new ones are dropped, and counted."""
MAX_BATCH = 500
EVERY_S = 0.5
"""How long a record waits for others of its batch."""
MAX_PAUSE_S = 30.0
STORE_S = 30.0
"""How long one batch may take."""
FLUSH_S = 10.0
"""How long a stop waits for the last batches."""

Store = Callable[[Sequence[CallRecord]], Awaitable[None]]


class Recorder:
    """Counts, and keeps what is to be stored until it is."""

    def __init__(
        self,
        store: Store | None,
        *,
        every_s: float = EVERY_S,
        max_waiting: int = MAX_WAITING,
        observe: Observe = ignore,
    ) -> None:
        """Store by `store`; None: requests are only counted."""
        self._store = store
        self._every_s = every_s
        self._max_waiting = max_waiting
        self._observe = observe
        self._waiting: deque[CallRecord] = deque()
        self._has_waiting = asyncio.Event()
        self._is_stopping = asyncio.Event()
        self.in_flight = 0
        self.ended: Counter[State] = Counter()
        """How many requests ended in which state."""
        self.stored = 0
        self.dropped = 0
        """Requests that were not stored: too many waited, or the database refused them."""

    def begin(self) -> None:
        """Count a request as in flight."""
        self.in_flight += 1

    def note(self, call: CallRecord) -> None:
        """Count a request as ended, and queue it; never waits."""
        self.in_flight -= 1
        self.ended[call.state] += 1
        self._observe(ProxiedReport(call.state.value, call.latency_ms / 1000))
        if self._store is None or not call.is_message:
            return
        if len(self._waiting) >= self._max_waiting:
            self._drop(1, "the database does not keep up")
            return
        self._waiting.append(call)
        self._has_waiting.set()

    @property
    def waiting(self) -> int:
        """Return how many records have not been stored yet."""
        return len(self._waiting)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Store in the background while the context lasts, then what is left."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._is_stopping.set()
            self._has_waiting.set()
            await asyncio.wait([task], timeout=FLUSH_S)
            task.cancel()
            await asyncio.wait([task])
            if self._waiting:
                self._drop(len(self._waiting), "the service stopped")

    async def _run(self) -> None:
        pause = self._every_s
        while True:
            await self._has_waiting.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._is_stopping.wait()
            is_stored = await self._store_waiting()
            if self._is_stopping.is_set():
                return
            pause = self._every_s if is_stored else min(pause * 2, MAX_PAUSE_S)

    async def _store_waiting(self) -> bool:
        """Store all that waits. Returns False if the database failed; what it did not take stays."""
        while self._waiting and self._store is not None:
            batch = list(islice(self._waiting, MAX_BATCH))
            try:
                async with asyncio.timeout(STORE_S):
                    await self._store(batch)
                self.stored += len(batch)
            except (LoadStopped, DataError, IntegrityError) as error:
                self._drop(len(batch), str(error).splitlines()[0])
            except (DatabaseError, SQLAlchemyError, OSError, TimeoutError) as error:
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                log.warning("requests are not stored", waiting=len(self._waiting), reason=reason)
                return False
            for _ in batch:
                self._waiting.popleft()
        if not self._waiting:
            self._has_waiting.clear()
        return True

    def _drop(self, count: int, reason: str) -> None:
        if self.dropped == 0:  # a lasting failure is logged once; the status shows the count
            log.error("requests are dropped from the log", reason=reason)
        self.dropped += count
        self._observe(DroppedReport(count))
