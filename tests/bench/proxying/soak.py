"""The proxy for a long time: bodies of all sizes, streams and not, clients that leave."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter

import aiohttp

from tests.bench.measure import show
from tests.bench.proxying.targets import Target, body_of
from tests.bench.soak import MEMORY_COLUMNS, RATE, SECONDS, memory_row

_RATE = RATE or 5.0
"""Requests a second."""
_SMALLEST, _LARGEST = 1_000, 800_000
_LEAVING = 0.05
"""Share of the clients that leave once they have asked."""
_SETTLED_S = 15.0
_EVERY_S = 1.0


async def soak(target: Target) -> None:
    """Prints how requests ended, and how memory and open files went."""
    assert target.process is not None
    chance = random.Random(1)  # noqa: S311
    resident: list[tuple[float, float]] = []
    files: list[int] = []
    asked, failed = 0, Counter[str]()
    before = await _ended(target)
    running: set[asyncio.Task[None]] = set()
    began = time.monotonic()
    while (elapsed := time.monotonic() - began) < SECONDS:
        if elapsed >= len(files) * _EVERY_S:
            resident.append((time.monotonic(), target.process.memory_info().rss / 1e6))
            files.append(target.process.num_fds())
        task = asyncio.create_task(_ask(target, chance, asked, failed))
        running.add(task)
        task.add_done_callback(running.discard)
        asked += 1
        await asyncio.sleep(max(0.0, began + asked / _RATE - time.monotonic()))
    await asyncio.gather(*running)
    await asyncio.sleep(_SETTLED_S)
    ended = await _ended(target)
    ended.subtract(before)
    states = ", ".join(f"{state} {count:,}" for state, count in sorted(ended.items()) if count)
    row = [f"{asked:,}", f"{sum(ended.values()):,}", states, str(dict(failed) or "none")]
    show(f"Soak: {SECONDS:g} s, {_RATE:g} requests a second", ("asked", "ended", "how", "failed"), [row])
    third = len(files) // 3
    counts = [str(max(files[:third])), str(max(files[-third:])), str(target.process.num_fds())]
    show("Its open files", ("first third, most", "last third, most", "after it"), [counts])
    show("Its resident memory, in MB", MEMORY_COLUMNS, [memory_row(resident)])


async def _ask(target: Target, chance: random.Random, number: int, failed: Counter[str]) -> None:
    size = round(_SMALLEST * (_LARGEST / _SMALLEST) ** chance.random())
    body = body_of(size, stream=chance.random() < 0.5, number=number // 10)
    leaves = chance.random() < _LEAVING
    connection = Target(target.name, target.port)
    try:
        await connection.connect()
        if leaves:
            connection.begin(body)
            await connection.writer.drain()
        else:
            await connection.ask(body)
        connection.writer.close()
    except (OSError, RuntimeError, asyncio.IncompleteReadError) as error:
        failed[type(error).__name__] += 1


async def _ended(target: Target) -> Counter[str]:
    """How requests have ended, by the proxy's own count."""
    url = f"http://127.0.0.1:{target.port}/arcpoint/status"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return Counter(json.loads(await answer.read())["ended"])
