"""Deadlines that hardly count the time in which the process's own work kept the processor busy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_STEP_S = 0.02
"""A round of the event loop counts at most this much; on a free loop no round is longer."""
_MIN_COUNTED = 0.25
"""Share of a fully busy moment that counts: what waits for its turn is late because of others."""
_NEAR_S = 0.1
"""A deadline is moved when it is as near as this: most reads end long before theirs."""
_MAX_STRETCH = 10.0
"""Multiple of its length after which a deadline passes however busy the process is."""


class Deadlines:
    """The deadlines of a process's reads, moved ahead together while its processor is overloaded."""

    def __init__(self) -> None:
        self._active: dict[asyncio.Timeout, tuple[float, float]] = {}
        """The moment of each on a loop that has lost nothing, and its latest."""
        self._timer: asyncio.TimerHandle | None = None
        self._stepped_at = self._used_s = self._lost_s = 0.0

    @asynccontextmanager
    async def within(self, seconds: float) -> AsyncIterator[asyncio.Timeout]:
        """Cancel the block after so many seconds of a free process. Raises TimeoutError."""
        async with asyncio.timeout(seconds) as timeout:
            now = asyncio.get_running_loop().time()
            self._active[timeout] = (now + seconds - self._lost_s, now + _MAX_STRETCH * seconds)
            if self._timer is None:
                self._schedule()
            try:
                yield timeout
            finally:
                del self._active[timeout]

    def _schedule(self) -> None:
        loop = asyncio.get_running_loop()
        self._stepped_at, self._used_s = loop.time(), time.process_time()
        self._timer = loop.call_at(self._stepped_at + _STEP_S, self._step)

    def _step(self) -> None:
        """Move the deadlines by what does not count of the time since the last step.

        It is due before any deadline that has passed meanwhile, and the loop runs what is due in order.
        """
        if not self._active:
            self._timer = None
            return
        now = asyncio.get_running_loop().time()
        elapsed = now - self._stepped_at
        busy = min(elapsed, time.process_time() - self._used_s)
        self._lost_s += max(elapsed - 2 * _STEP_S, (1 - _MIN_COUNTED) * busy)
        for timeout, (due, latest) in self._active.items():
            when = timeout.when()
            if when is not None and when < now + _NEAR_S and not timeout.expired():
                timeout.reschedule(max(when, min(due + self._lost_s, latest)))
        self._schedule()
