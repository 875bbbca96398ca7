"""How late the event loop is: the time that a task which is ready to run waits for its turn."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import AbstractAsyncContextManager

from context_builder.background import in_background

_INTERVAL_S = 0.25
_KEPT_S = 60.0


class LoopLag:
    """Delays of a task that wants to run four times a second, of the last minute."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque()
        """When each was taken, and the delay, in seconds."""

    def measured(self) -> AbstractAsyncContextManager[None]:
        """Measure while the context lasts."""
        return in_background(self._run())

    def add(self, now: float, lag_s: float) -> None:
        """Add a sample and forget those of more than a minute ago."""
        self._samples.append((now, lag_s))
        while self._samples[0][0] < now - _KEPT_S:
            self._samples.popleft()

    def percentile_ms(self, share: float) -> float:
        """Return a percentile of the last minute, in milliseconds; 0 before the first sample."""
        lags = sorted(lag for _, lag in self._samples) or [0.0]
        return round(1000 * lags[round(share * (len(lags) - 1))], 1)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _INTERVAL_S
            await asyncio.sleep(_INTERVAL_S)
            now = loop.time()
            self.add(now, max(0.0, now - due))
