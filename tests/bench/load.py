"""`arcpoint serve` under load: service and client, each a process of its own, on the story database."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import httpx
import psutil

from api.demo_data import seed
from api.settings import Settings
from models.database import Database
from models.migrations import upgrade
from tests.bench.load_client import Load, Outcome
from tests.bench.measure import QUICK, show
from tests.support.http_service import REPOSITORY, START_S, ServiceProcess, settings_of
from tests.support.prepared_databases import STORY_SEED

CONCURRENCY = (1, 10, 200) if QUICK else (1, 10, 50, 200)
SECONDS = 3.0 if QUICK else 20.0
GRACE_S = 5.0 if QUICK else 20.0
MAX_WAIT_S = 3.0 if QUICK else Settings().max_wait_s
WORKERS = int(os.environ.get("BENCH_WORKERS", "1"))
SAME = ("Why are premium users slow?",)
DIFFERENT = tuple(
    f"{what} {where} in the last {hours} hours?"
    for hours, what, where in product(
        (3, 5, 8, 13, 21, 34, 55),
        ("Why was latency high on", "Which errors were there on", "How many requests were sent to"),
        ("gpt-4/aws", "gpt-4/k8s", "claude-sonnet/aws", "mistral-large/gcp", "llama-70b/k8s"),
    )
)  # fmt: skip
"""Windows and scopes that no two of them share."""
COLUMNS = (
    "concurrent", "answers/s", "p50 ms", "p99 ms", "answered", "refused", "unanswered", "failed", "degraded",
    "CPU ms each",
)  # fmt: skip


class ServiceUnderLoad:
    """A running service, and the processor time and memory of all its processes."""

    def __init__(self, service: ServiceProcess, database: Database) -> None:
        self.database = database
        self.port = httpx.URL(service.url).port or 0
        self._process = psutil.Process(service.process.pid)

    def cpu_s(self) -> float:
        """Return the processor time so far, in seconds."""
        return sum(sum(each.cpu_times()[:2]) for each in self._processes())

    def resident_mb(self) -> float:
        """Return the resident memory, in megabytes."""
        return sum(float(each.memory_info().rss) for each in self._processes()) / 1e6

    async def under(self, load: Load) -> Outcome:
        """Put the load on it from a process of its own."""
        client = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bench.load_client", cwd=REPOSITORY, stdin=PIPE, stdout=PIPE
        )
        out, _ = await client.communicate(json.dumps(asdict(load)).encode())
        return Outcome(**json.loads(out))

    def _processes(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]


@asynccontextmanager
async def service_under_load() -> AsyncIterator[ServiceUnderLoad]:
    """The story, ending now, behind `arcpoint serve`; BENCH_WORKERS says how many workers it has."""
    with tempfile.TemporaryDirectory(prefix="arcpoint-bench-") as folder:
        settings = settings_of(f"sqlite:///{folder}/story.db", Path(folder), max_wait_s=MAX_WAIT_S)
        database = Database(settings.database_url)
        try:
            await upgrade(database)
            await seed(database, seed=STORY_SEED, anchor=datetime.now(UTC))
            workers = ("--workers", str(WORKERS)) if WORKERS > 1 else ()
            async with ServiceProcess(settings, options=("--port", "0", *workers), errors=DEVNULL) as service:
                await _ready(service)
                yield ServiceUnderLoad(service, database)
        finally:
            await database.close()


async def _ready(service: ServiceProcess) -> None:
    """Wait until every worker has been seen ready, incident memory included."""
    async with asyncio.timeout(START_S * 3):
        ready = 0
        while ready < 5 * WORKERS:
            async with service.client() as client:  # each time a new connection, to any worker
                ready += (await client.get("/readyz")).json()["status"] == "ok"
            await asyncio.sleep(0.2)


async def loads(service: ServiceUnderLoad) -> float:
    """Prints a table for the same question and one for different ones; gives the best rate of the latter."""
    best = 0.0
    for title, questions in (("the same question", SAME), ("different questions", DIFFERENT)):
        rows, best = [], 0.0
        for concurrency in CONCURRENCY:
            load = Load(service.port, questions, SECONDS, GRACE_S, concurrency)
            before = service.cpu_s()
            outcome = await service.under(load)
            cpu_ms = (service.cpu_s() - before) * 1000 / max(1, len(outcome.milliseconds))
            rows.append([str(concurrency), *figures(outcome), f"{cpu_ms:.0f}"])
            best = max(best, rate_of(outcome))
        show(f"POST /v1/context, {title}, {SECONDS:g} s each, {WORKERS} worker(s)", COLUMNS, rows)
    return best


def figures(outcome: Outcome) -> list[str]:
    """Return what a row tells of an outcome; percentiles are of those answered."""
    walls = sorted(outcome.milliseconds) or [0.0]
    p50, p99 = (walls[round(share * (len(walls) - 1))] for share in (0.5, 0.99))
    return [
        f"{rate_of(outcome):.1f}", f"{p50:.0f}", f"{p99:.0f}",
        str(len(outcome.milliseconds)), str(outcome.refused), str(outcome.unanswered), str(outcome.failed),
        str(outcome.degraded),
    ]  # fmt: skip


def rate_of(outcome: Outcome) -> float:
    """Return answers a second."""
    return len(outcome.milliseconds) / outcome.seconds if outcome.seconds else 0.0
