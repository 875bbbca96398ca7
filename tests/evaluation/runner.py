"""Runs scenarios: worlds are shared out to processes, results come back one scenario at a time."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import signal
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import asynccontextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING

import structlog

from tests.evaluation.scenario import PER_WORLD, Base, Scenario, make_scenario
from tests.evaluation.store import write_scene, write_world
from tests.evaluation.trial import Trial, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator

    from models.database import Database

_WAIT_S = 0.5


class WorkerFailed(Exception):
    """A process of the evaluation ended before its work was done."""


def evaluate(seed: int, numbers: Sequence[int], processes: int) -> Generator[list[Trial]]:
    """Yield the trials of each scenario as it is done. Closing the iterator ends the processes."""
    context = multiprocessing.get_context("spawn")
    worlds = sorted({number // PER_WORLD for number in numbers})
    shares = [worlds[n::processes] for n in range(min(processes, len(worlds)))]
    results: multiprocessing.Queue[list[Trial]] = context.Queue()
    with tempfile.TemporaryDirectory(prefix="arcpoint-evaluation-") as folder:
        workers = [
            context.Process(
                target=_work,
                args=(seed, [n for n in numbers if n // PER_WORLD in share], Path(folder), results),
                daemon=True,
            )
            for share in shares
        ]
        for worker in workers:
            worker.start()
        try:
            for _ in numbers:
                yield _next(results, workers)
        finally:
            for worker in workers:
                worker.terminate()
                worker.join()


def _next(results: multiprocessing.Queue[list[Trial]], workers: Sequence[BaseProcess]) -> list[Trial]:
    while True:
        try:
            return results.get(timeout=_WAIT_S)
        except Empty:
            if any(worker.exitcode for worker in workers):
                raise WorkerFailed("a process of the evaluation failed; its error is above") from None


def _work(
    seed: int, numbers: Sequence[int], folder: Path, results: multiprocessing.Queue[list[Trial]]
) -> None:
    """One process: its scenarios in order, one world after another."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    quiet()
    asyncio.run(_scenarios(seed, numbers, folder, results))


def quiet() -> None:
    """The log says nothing of sources that fail: the report does."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


async def _scenarios(
    seed: int, numbers: Sequence[int], folder: Path, results: multiprocessing.Queue[list[Trial]]
) -> None:
    base: Base | None = None
    current = -1
    for number in numbers:
        if base is None or number // PER_WORLD != current:
            current = number // PER_WORLD
            base = await _base(seed, current, folder)
        async with opened(base, number, folder) as (scenario, database):
            results.put(await run(scenario, database))


async def _base(seed: int, world: int, folder: Path) -> Base:
    base = Base(seed, world)
    await write_world(_world_file(folder, world), base.world, base.history, base.budgets)
    return base


def _world_file(folder: Path, world: int) -> Path:
    return folder / f"world-{world}.db"


@asynccontextmanager
async def opened(base: Base, number: int, folder: Path) -> AsyncIterator[tuple[Scenario, Database]]:
    """A scenario with its database, which is gone afterwards; the world's file must be there."""
    scenario = make_scenario(base, number)
    path = folder / f"scenario-{number}.db"
    world = _world_file(folder, number // PER_WORLD)
    database = await write_scene(
        path, world, scenario.scene, scenario.last_day, scenario.scored, scenario.exhausted
    )
    try:
        yield scenario, database
    finally:
        await database.close()
        for suffix in ("", "-wal", "-shm"):
            await asyncio.to_thread(path.with_name(path.name + suffix).unlink, missing_ok=True)


@asynccontextmanager
async def single(seed: int, number: int) -> AsyncIterator[tuple[Scenario, Database]]:
    """One scenario by itself, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="arcpoint-evaluation-") as folder:
        base = await _base(seed, number // PER_WORLD, Path(folder))
        async with opened(base, number, Path(folder)) as found:
            yield found


class Progress:
    """One line on stderr that says how far the run is and when it will be done."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._started = total, 0, time.monotonic()

    def advance(self) -> None:
        """One scenario more is done."""
        self._done += 1
        elapsed = time.monotonic() - self._started
        left = elapsed / self._done * (self._total - self._done)
        ending = "\n" if self._done == self._total else ""
        sys.stderr.write(
            f"\r{self._done}/{self._total} scenarios, {elapsed:.0f} s, about {left:.0f} s left {ending}"
        )
        sys.stderr.flush()
