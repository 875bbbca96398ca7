"""Keeps the gauges of this worker's load up to date, for scrapes that another worker answers."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

from api.http.worker_load import WorkerLoad
from api.ingest.live.ingestor import Ingestor
from api.metrics.metrics import Metrics
from context_builder.background import in_background

_EVERY_S = 1.0


class LoadMetrics:
    """Copies what one worker measures of itself into metrics."""

    def __init__(self, metrics: Metrics, load: WorkerLoad, ingestor: Ingestor) -> None:
        self._families = metrics.families
        self._load = load
        self._ingestor = ingestor
        self._refused = {"builds": 0, "answers": 0}
        """What has been counted already."""

    def sample(self) -> None:
        """Copy what is measured now."""
        families, ingest = self._families, self._ingestor.load
        builds, answers = self._load.builds.state(), self._load.answers.state()
        families.workers.set(1)
        families.builds.set(builds.at_work)
        families.waiting.set(builds.waiting)
        families.waiting_seconds.set(builds.oldest_waiting_s)
        families.answers.set(answers.at_work)
        families.loop_lag.set(self._load.lag.percentile_ms(0.99) / 1000)
        families.queue_bytes.set(ingest.bytes)
        families.queue_age.set(ingest.oldest_s)
        for limit, state in (("builds", builds), ("answers", answers)):
            families.refused.labels(limit).inc(state.refused - self._refused[limit])
            self._refused[limit] = state.refused

    def sampled(self) -> AbstractAsyncContextManager[None]:
        """Sample every second while the context lasts."""
        return in_background(self._run())

    async def _run(self) -> None:
        while True:
            self.sample()
            await asyncio.sleep(_EVERY_S)
