"""How long a context takes to build: delayed sources against their sum, and the story as it is."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from context_builder.builder import BuiltContext, ContextBuilder
from context_builder.exploration.exploration import Exploration
from context_builder.question.request import ContextRequest, QuestionInput
from context_builder.source import ContextSource, Section, Stores
from context_builder.sources import discover
from memory.embedding.onnx_embedder import OnnxEmbedder
from memory.incident_memory import IncidentMemory
from memory.index.chroma import ChromaIndex
from models.database import Database
from tests.bench.measure import measure, show
from tests.support.no_memory import NO_MEMORY
from tests.support.prepared_databases import STORY_ANCHOR
from tests.support.rollup_views import rollups_of

DELAY_S = 0.05
QUESTIONS = (
    "Which deployments are unhealthy?",
    "Why are premium users slow?",
    "How many requests did each tier send this week?",
)


def delayed(source: ContextSource) -> ContextSource:
    """The source, answering DELAY_S later, as over a slow network."""

    async def read(request: ContextRequest, stores: Stores) -> Section:
        await asyncio.sleep(DELAY_S)
        return await source.read(request, stores)

    return replace(source, read=read)


def builder(database: Database, memory: IncidentMemory, sources: Sequence[ContextSource]) -> ContextBuilder:
    """A builder at the story's end."""
    return ContextBuilder(database, memory, sources, default_budget=8000, clock=lambda: STORY_ANCHOR)


async def max_not_sum(databases: dict[str, Database]) -> None:
    """Every source delayed: the whole build against its slowest source, and against one after another."""
    sources = tuple(delayed(source) for source in discover() if source.name != "recall")
    rows = []
    for name, database in databases.items():
        building = builder(database, NO_MEMORY, sources)
        slowest_ms: list[int] = []

        async def build(
            building: ContextBuilder = building, slowest_ms: list[int] = slowest_ms
        ) -> BuiltContext:
            built = await building.build(QuestionInput(question=QUESTIONS[0]))
            slowest_ms.append(max(source.milliseconds for source in built.manifest.sources))
            return built

        together = await measure(build, runs=40)
        slowest = sorted(slowest_ms)[len(slowest_ms) // 2]
        sequential = await measure(lambda d=database: _one_after_another(d, sources), runs=5)  # type: ignore[misc]
        rows.append(
            [
                name, f"{len(sources)} x {DELAY_S * 1000:.0f} ms", f"{together.p50_ms:.0f}",
                f"{together.p99_ms:.0f}", f"{slowest}", f"{together.p50_ms / slowest:.2f}",
                f"{sequential.p50_ms:.0f}", f"{sequential.p50_ms / together.p50_ms:.1f}",
            ]
        )  # fmt: skip
    columns = (
        "database",
        "delay",
        "p50 ms",
        "p99 ms",
        "slowest source ms",
        "ratio to it",
        "in turn ms",
        "times",
    )
    show("Every source delayed: max, not sum", columns, rows)


async def _one_after_another(database: Database, sources: Sequence[ContextSource]) -> None:
    built = await builder(database, NO_MEMORY, sources[:1]).build(QuestionInput(question=QUESTIONS[0]))
    # What several sources use is found once, here as in a build.
    async with rollups_of(database) as rollups, Exploration(rollups) as exploration:
        for source in sources[1:]:
            await source.read(built.request, Stores(rollups.snapshot, rollups, NO_MEMORY, exploration))


async def story(databases: dict[str, Database]) -> None:
    """The story as it is, nothing delayed, with and without recall."""
    rows = []
    for name, database in databases.items():
        async with real_memory(database) as memory:
            for recall in (False, True):
                sources = [source for source in discover() if recall or source.name != "recall"]
                building = builder(database, memory, sources)
                turn = iter(range(1_000_000))
                timing = await measure(
                    lambda b=building, t=turn: b.build(QuestionInput(question=QUESTIONS[next(t) % 3])),  # type: ignore[misc]
                    runs=150,
                    warm_up=10,
                )
                rows.append(
                    [
                        name, "with recall" if recall else "without recall", f"{timing.p50_ms:.1f}",
                        f"{timing.p99_ms:.1f}", f"{timing.cpu_ms:.1f}",
                    ]
                )  # fmt: skip
    show(
        "Story database (6,155 requests), nothing delayed, three questions in turn",
        ("database", "sources", "p50 ms", "p99 ms", "CPU ms per context"),
        rows,
    )


@asynccontextmanager
async def real_memory(database: Database) -> AsyncIterator[IncidentMemory]:
    """Chroma in a folder of its own and the real embedding model, with the story's incidents in it."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        embedder = await asyncio.to_thread(OnnxEmbedder)
        memory = IncidentMemory(database, embedder, ChromaIndex(Path(folder) / "memory"), deadline_s=30)
        await memory.start()
        stack.push_async_callback(memory.close)
        await memory.sync()
        yield memory
