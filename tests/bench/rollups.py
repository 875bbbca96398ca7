"""Rollups as a busier gateway's log would leave them, and what it costs to keep up with new requests."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from statistics import median
from typing import Any

import numpy as np
from sqlalchemy import delete, insert, select

from context_builder.question.request import Window
from context_builder.rollups.span import by_ten_minutes, covering
from context_builder.rollups.store import RollupStore
from context_builder.rollups.table import QUALITY, REQUESTS, SPEND
from models import RequestRollup, Resolution, User
from models.database import Database
from models.histogram import _CELL, _LOG_GAMMA
from models.request_log import append
from tests.bench.large import new_requests
from tests.bench.measure import show
from tests.support.rollup_views import rollups_of

_DAYS = {Resolution.HOUR: 9.0, Resolution.TEN_MINUTES: 1.2, Resolution.MINUTE: 1.1}
"""How far back each resolution is made, in days: as far as a context reads it."""
_KEYS = [
    (deployment, tier, task, status)
    for deployment in range(1, 13)
    for tier in ("premium", "standard", "budget")
    for task in ("chat", "code", "extraction")
    for status in ("success", "error")
]
_TURNS = 10


async def generate(database: Database, requests_a_week: int, end: datetime) -> int:
    """Replaces the request rollups by those of a busier log; gives their number."""
    chance = np.random.default_rng(7)
    async with database.write() as session:
        await session.execute(delete(RequestRollup))
    written = 0
    for resolution, days in _DAYS.items():
        for hour in range(math.ceil(days * 24)):
            start = end.replace(minute=0) - timedelta(hours=hour)
            rows = list(_rows(chance, requests_a_week, resolution, start))
            async with database.write() as session:
                await session.execute(
                    insert(RequestRollup), [row for row in rows if row["bucket_start"] < end]
                )
            written += len(rows)
    return written


def _rows(
    chance: np.random.Generator, requests_a_week: int, resolution: Resolution, hour: datetime
) -> Iterator[dict[str, Any]]:
    """Yield the rollups of one hour."""
    cells = len(_KEYS) // 2
    for bucket in range(timedelta(hours=1) // resolution.width):
        mean = requests_a_week * (resolution.width / timedelta(days=7)) / cells
        counts = chance.poisson([mean * (0.01 if status == "error" else 0.99) for *_, status in _KEYS])
        for (deployment, tier, task, status), number in zip(_KEYS, counts.tolist(), strict=True):
            if not number:
                continue
            # A sample of the latencies, scaled up.
            logs = chance.normal(7, 0.5, min(number, 2_000))
            found, times = np.unique(np.ceil(logs / _LOG_GAMMA).astype(int), return_counts=True)
            histogram = np.zeros(len(found), dtype=_CELL)
            histogram["bucket"], histogram["count"] = found, times * max(1, number // 2_000)
            yield {
                "resolution": resolution, "bucket_start": hour + bucket * resolution.width,
                "deployment_id": deployment, "tier": tier, "task_type": task, "router_version": "v2.4.0",
                "status": status, "error_code": "502" if status == "error" else "", "requests": number,
                "latency_sum_ms": number * 1200, "latency_histogram": histogram.tobytes(),
                "slowest_ms": round(math.exp(logs.max())), "slowest_request_id": 1,
                "cost_usd": number * 2, "prompt_tokens": number * 400, "completion_tokens": number * 150,
            }  # fmt: skip


async def refreshes(database: Database, end: datetime) -> None:
    """Prints what a view costs after the requests of two seconds, at several rates."""
    store = RollupStore()
    async with database.read() as session:
        found = await session.execute(select(User.id, User.tier))
        users = [(row.id, row.tier) for row in found]
    week = covering(Window(end - timedelta(days=8), end))
    day = by_ten_minutes(Window(end.replace(minute=0) - timedelta(days=1), end))
    table = []
    for rate in (0, 100, 2_000):
        cpu_ms, wall_ms, stored = [], [], 0
        for turn in range(_TURNS):
            made = new_requests(2 * rate, end, timedelta(minutes=1), range(1, 13), users) if rate else ()
            new = [replace(one, public_id=f"{rate}-{turn}-{one.public_id}") for one in made]
            async with database.write() as session:
                await append(session, new)
            started, cpu_started = time.perf_counter(), time.process_time()
            async with rollups_of(database, store) as rollups:
                wall_ms.append((time.perf_counter() - started) * 1000)
                cpu_ms.append((time.process_time() - cpu_started) * 1000)
                for columns in (REQUESTS, SPEND, QUALITY):
                    await rollups.read(columns, *week)
                await rollups.read(REQUESTS, *day)
                stored = rollups.chunks.bytes
        # The first one loads nothing: it only opens a view.
        middle = [f"{median(times[1:]):.0f}" for times in (wall_ms, cpu_ms)]
        table.append([f"{rate:,}", *middle, f"{stored / 2**20:.0f}"])
    columns_shown = ("requests a second", "wall p50 ms", "CPU p50 ms", "MB in memory")
    show("A view of the rollups two seconds later", columns_shown, table)
