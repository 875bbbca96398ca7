"""Deadlines that count the time in which the event loop was free to work, not that it was starved of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_STEP_S = 0.02
"""A round of the event loop counts at most this much; on a free loop no round is longer."""
_MAX_STRETCH = 10.0
"""Multiple of its length after which a deadline passes however busy the process is."""


class Deadlines:
    """The deadlines of a process's reads, moved ahead together while its processor is overloaded."""

    def __init__(self) -> None:
        self._active: dict[asyncio.Timeout, float] = {}
        """The latest moment of each."""
        self._timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def within(self, seconds: float) -> AsyncIterator[None]:
        """Cancel the block after so many seconds of a free event loop. Raises TimeoutError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(seconds) as timeout:
            self._active[timeout] = loop.time() + _MAX_STRETCH * seconds
            if self._timer is None:
                self._timer = loop.call_at(loop.time() + _STEP_S, self._step, loop.time() + _STEP_S)
            try:
                yield
            finally:
                del self._active[timeout]

    def _step(self, due: float) -> None:
        """Move the deadlines by the time that this step is late.

        It is due before any deadline that has passed meanwhile, and the loop runs what is due in order.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        for timeout, latest in self._active.items():
            when = timeout.when()
            if when is not None and now > due + _STEP_S and not timeout.expired():
                timeout.reschedule(max(when, min(when + now - due, latest)))
        self._timer = loop.call_at(now + _STEP_S, self._step, now + _STEP_S) if self._active else None
