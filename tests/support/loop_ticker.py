"""How long an event loop keeps a task waiting that is ready to run."""

from __future__ import annotations

import asyncio
import time


class Ticker:
    """Measures by how much a task that wants to run every few milliseconds is late.

    Late counts only as far as this process was busy meanwhile: on a machine with other work to do
    the whole process waits at times, which is not what the law is about.
    """

    interval_s = 0.002

    def __init__(self) -> None:
        self.lags: list[float] = []

    async def run(self) -> None:
        """Ticks until it is cancelled."""
        while True:
            due, busy = time.perf_counter() + self.interval_s, time.process_time()
            await asyncio.sleep(self.interval_s)
            self.lags.append(min(time.perf_counter() - due, time.process_time() - busy))
