"""Timings of one async action, and the table that shows them."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median

from rich.console import Console
from rich.table import Table

QUICK = os.environ.get("QUICK") == "1"
"""Everything small and short: whether the bench runs, and rough figures."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Wall and CPU time of repeated runs, in milliseconds."""

    runs: int
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    """CPU of this process per run, its threads included."""


async def measure(action: Callable[[], Awaitable[object]], *, runs: int, warm_up: int = 3) -> Timing:
    """Times an action that is repeated one after another; three times if QUICK."""
    if QUICK:
        runs, warm_up = min(runs, 3), 1
    for _ in range(warm_up):
        await action()
    walls = []
    cpu_started = time.process_time()
    for _ in range(runs):
        started = time.perf_counter()
        await action()
        walls.append((time.perf_counter() - started) * 1000)
    cpu_ms = (time.process_time() - cpu_started) * 1000 / runs
    return Timing(runs, median(walls), sorted(walls)[round(0.99 * (runs - 1))], cpu_ms)


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table, numbers to the right."""
    table = Table(title=title, title_justify="left", min_width=len(title))
    for position, column in enumerate(columns):
        table.add_column(column, justify="left" if position == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    Console(width=140).print(table)
