"""What a question costs as the request log grows: the whole build against its sources one after another."""

from __future__ import annotations

import time
from collections import defaultdict
from statistics import median

from context_builder.builder import BuiltContext
from context_builder.exploration.exploration import Exploration
from context_builder.question.request import QuestionInput
from context_builder.source import ContextSource, Status, Stores
from context_builder.sources import discover
from models.database import Database
from tests.bench.contexts import QUESTIONS, builder
from tests.bench.measure import QUICK, measure, show
from tests.support.no_memory import NO_MEMORY
from tests.support.rollup_views import rollups_of

RUNS = 30
IN_TURN_RUNS = 1 if QUICK else 2
"""Of each question."""
COLUMNS = (
    "database", "requests", "p50 ms", "p99 ms", "CPU ms", "slowest source", "its ms", "in turn ms", "times",
    "late",
)  # fmt: skip


async def sizes(databases: dict[tuple[str, int], Database]) -> None:
    """Prints one row for each database; keys are its kind and how many requests it holds."""
    sources = [source for source in discover() if source.name != "recall"]
    rows = [
        [kind, f"{size:,}", *await _row(database, sources)] for (kind, size), database in databases.items()
    ]
    show(f"All {len(sources)} sources but recall, three questions in turn", COLUMNS, rows)


async def _row(database: Database, sources: list[ContextSource]) -> list[str]:
    building = builder(database, NO_MEMORY, sources)
    milliseconds: defaultdict[str, list[int]] = defaultdict(list)
    turn = iter(range(1_000_000))
    late: set[str] = set()

    async def build() -> BuiltContext:
        built = await building.build(QuestionInput(question=QUESTIONS[next(turn) % len(QUESTIONS)]))
        for source in built.manifest.sources:
            milliseconds[source.name].append(source.milliseconds)
            if source.status in (Status.TIMEOUT, Status.ERROR):
                late.add(source.name)
        return built

    timing = await measure(build, runs=RUNS)
    slowest_ms, slowest = max((median(taken), name) for name, taken in milliseconds.items())
    in_turn = median([await _in_turn(database, sources, question) for question in QUESTIONS * IN_TURN_RUNS])
    return [
        f"{timing.p50_ms:.0f}", f"{timing.p99_ms:.0f}", f"{timing.cpu_ms:.0f}", slowest, f"{slowest_ms:.0f}",
        f"{in_turn:.0f}", f"{in_turn / timing.p50_ms:.1f}", ", ".join(sorted(late)) or "none",
    ]  # fmt: skip


async def _in_turn(database: Database, sources: list[ContextSource], question: str) -> float:
    """Milliseconds of all sources one after another; what several of them use is found once."""
    resolved = await builder(database, NO_MEMORY, sources[:1]).build(QuestionInput(question=question))
    async with rollups_of(database) as rollups, Exploration(rollups) as exploration:
        stores = Stores(rollups.snapshot, rollups, NO_MEMORY, exploration)
        started = time.perf_counter()
        for source in sources:
            await source.read(resolved.request, stores)
        return (time.perf_counter() - started) * 1000
