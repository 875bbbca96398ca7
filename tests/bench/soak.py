"""`arcpoint serve` at half of its capacity for a long time, while the gateway's requests come in."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
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

SECONDS = float(os.environ.get("BENCH_SOAK_S", "0" if QUICK else "60"))
"""0: none, since seconds tell nothing."""
RATE = float(os.environ.get("BENCH_SOAK_RATE", "0"))
"""Questions a second; 0: half of the measured capacity."""
MIN_SECONDS = 600.0
"""A shorter run tells nothing of memory: caches and the allocator's heaps are still filling."""
FLAT_MB_A_MINUTE = 0.5
"""Up to this slope of its second half a run is called flat: 30 MB an hour would be noticed in a day."""
ROWS_A_SECOND = 20
COLUMNS = (
    "asked/s", "answers/s", "p50 ms", "p99 ms", "answered", "refused", "unanswered", "failed", "degraded",
    "rows",
)  # fmt: skip
MEMORY_COLUMNS = ("by minute", "first third", "last third", "last half, a minute", "")


async def soak(service: ServiceUnderLoad, capacity: float) -> None:
    """Prints what was answered, and how memory went; `capacity` is in answers a second."""
    rate = RATE or capacity / 2
    resident: list[tuple[float, float]] = []
    gateway = Gateway(service.database)
    async with asyncio.TaskGroup() as group:
        beside = [group.create_task(gateway.write()), group.create_task(_watch(service, resident))]
        outcome = await service.under(Load(service.port, SAME + DIFFERENT, SECONDS, GRACE_S, 1, rate))
        for task in beside:
            task.cancel()
    row = [f"{rate:.1f}", *figures(outcome), f"{gateway.written:,}"]
    load = "at a given rate" if RATE else "at half of the capacity"
    show(f"Soak: {SECONDS:g} s {load} while rows come in", COLUMNS, [row])
    show("Its resident memory, in MB", MEMORY_COLUMNS, [memory_row(resident)])


def memory_row(resident: Sequence[tuple[float, float]]) -> list[str]:
    """Return the median of each minute and of thirds, the slope, and what to call it."""
    seconds, megabytes = np.array(resident).T
    minutes = ((seconds - seconds[0]) // 60).astype(int)
    by_minute = [f"{np.median(megabytes[minutes == minute]):.0f}" for minute in np.unique(minutes)]
    third, half = len(resident) // 3, len(resident) // 2
    slope = 60 * float(np.polyfit(seconds[half:], megabytes[half:], 1)[0])
    verdict = "flat" if slope <= FLAT_MB_A_MINUTE else "growing"
    return [
        " ".join(by_minute), f"{np.median(megabytes[:third]):.0f}", f"{np.median(megabytes[-third:]):.0f}",
        f"{slope:+.2f}", verdict if SECONDS >= MIN_SECONDS else "too short",
    ]  # fmt: skip


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
