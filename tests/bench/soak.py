"""`arcpoint serve` at half of its capacity for a long time, while the gateway's requests come in."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
from sqlalchemy import select

from models import Deployment, User
from models.database import Database
from models.request_log import append
from tests.bench.large import new_requests
from tests.bench.load import DIFFERENT, GRACE_S, SAME, ServiceUnderLoad, figures
from tests.bench.load_client import Load
from tests.bench.measure import QUICK, show

SECONDS = float(os.environ.get("BENCH_SOAK_S", "5" if QUICK else "60"))
ROWS_A_SECOND = 20
COLUMNS = (
    "asked/s", "answers/s", "p50 ms", "p99 ms", "answered", "refused", "unanswered", "failed", "degraded",
    "rows", "RSS MB", "MB/min",
)  # fmt: skip


async def soak(service: ServiceUnderLoad, capacity: float) -> None:
    """Prints one row; `capacity` is in answers a second. Needs minutes to tell anything about memory."""
    rate = capacity / 2
    resident: list[tuple[float, float]] = []
    gateway = Gateway(service.database)
    async with asyncio.TaskGroup() as group:
        beside = [group.create_task(gateway.write()), group.create_task(_watch(service, resident))]
        outcome = await service.under(Load(service.port, SAME + DIFFERENT, SECONDS, GRACE_S, 1, rate))
        for task in beside:
            task.cancel()
    seconds, megabytes = np.array(resident[len(resident) // 4 :]).T  # without the growth of its first pools
    slope = 60 * float(np.polyfit(seconds, megabytes, 1)[0])
    row = [
        f"{rate:.1f}", *figures(outcome), f"{gateway.written:,}", f"{megabytes[-1]:.0f}", f"{slope:+.1f}"
    ]  # fmt: skip
    show(f"Soak: half of the capacity for {SECONDS:g} s while rows come in", COLUMNS, [row])


class Gateway:
    """Logs requests every second, as a gateway would, through the product's own writer."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.written = 0

    async def write(self) -> None:
        """Write until cancelled."""
        async with self._database.read() as session:
            deployments = list(await session.scalars(select(Deployment.id)))
            users = [(user.id, user.tier) for user in await session.scalars(select(User))]
        while True:
            now = datetime.now(UTC)
            batch = new_requests(ROWS_A_SECOND, now, timedelta(seconds=1), deployments, users)
            named = [replace(one, public_id=f"soak_{self.written + n}") for n, one in enumerate(batch)]
            async with self._database.write() as session:
                await append(session, named)
            self.written += len(named)
            await asyncio.sleep(1)


async def _watch(service: ServiceUnderLoad, resident: list[tuple[float, float]]) -> None:
    """Note seconds and megabytes until cancelled."""
    while True:
        resident.append((time.monotonic(), service.resident_mb()))
        await asyncio.sleep(0.5)
