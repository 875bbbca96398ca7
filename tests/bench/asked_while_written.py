"""A question's build while requests come in, beside the same builds while none do."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from datetime import timedelta
from itertools import islice
from multiprocessing.synchronize import Event
from statistics import median

import msgspec

from context_builder.builder import ContextBuilder
from context_builder.question.request import QuestionInput
from context_builder.sources import discover
from models.database import Database
from tests.bench.measure import show
from tests.bench.writing import START, Product, add_owners, items_of
from tests.support.no_memory import NO_MEMORY

RATE = 2_000
"""Requests a second."""
_POSTS_A_SECOND = 10
_FILLED = 40_000
_NOW = START + timedelta(hours=1)
_TURNS = 5
_BUILDS = 8
QUESTIONS = (
    "Which deployments are unhealthy?",
    "Why are premium users slow?",
    "Who is over budget?",
    "How many requests did each tier send today?",
)


async def asked_while_written(url: str) -> None:
    """Prints the builds of both kinds by turns; the writer is a process of its own."""
    database = Database(url)
    await add_owners(database)
    items = list(items_of(_FILLED, _FILLED / 3_300))
    for start in range(0, _FILLED, 5_000):
        await Product(database).write(msgspec.json.encode(items[start : start + 5_000]))
    spawn = multiprocessing.get_context("spawn")
    go, stop = spawn.Event(), spawn.Event()
    writer = spawn.Process(target=_write_until, args=(url, go, stop))
    writer.start()
    sources = [source for source in discover() if source.name != "recall"]
    building = ContextBuilder(database, NO_MEMORY, sources, default_budget=8_000, clock=lambda: _NOW)
    walls: dict[bool, list[float]] = {False: [], True: []}
    cpus: dict[bool, list[float]] = {False: [], True: []}
    try:
        await _build(building, 0)
        for turn in range(2 * _TURNS):
            is_busy = turn % 2 == 1
            (go.set if is_busy else go.clear)()
            await asyncio.sleep(1.5)
            for number in range(_BUILDS):
                started, cpu = time.perf_counter(), time.process_time()
                await _build(building, number)
                walls[is_busy].append((time.perf_counter() - started) * 1000)
                cpus[is_busy].append((time.process_time() - cpu) * 1000)
    finally:
        stop.set()
        go.set()
        writer.join()
        await database.close()
    rows = [
        [name, f"{idle:.0f}", f"{busy:.0f}", f"{busy / idle:.2f}"]
        for name, of in (("wall p50 ms", walls), ("CPU p50 ms", cpus))
        for idle, busy in [(median(of[False]), median(of[True]))]
    ]
    show(f"A question while {RATE:,} requests a second are written", ("", "idle", "written", "ratio"), rows)


async def _build(building: ContextBuilder, number: int) -> None:
    await building.build(QuestionInput(question=QUESTIONS[number % len(QUESTIONS)]))


def _write_until(url: str, go: Event, stop: Event) -> None:
    asyncio.run(_write(url, go, stop))


async def _write(url: str, go: Event, stop: Event) -> None:
    database = Database(url)
    product, size = Product(database), RATE // _POSTS_A_SECOND
    items = items_of(RATE * 600, RATE, _NOW - timedelta(minutes=10), seed=9)
    while not stop.is_set():
        if not go.is_set():
            await asyncio.sleep(0.05)
            continue
        due = time.monotonic() + 1 / _POSTS_A_SECOND
        await product.write(msgspec.json.encode(list(islice(items, size))))
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    await database.close()
