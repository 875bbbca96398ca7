"""Runs worlds one at a time: draws one, fills its database, puts its questions, judges the prompts."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from rich.console import Console

from context_builder.builder import BuiltContext, ContextBuilder
from context_builder.exploration import exploration
from context_builder.question.request import QuestionInput
from models.database import Database
from tests.evaluation.worlds.count import size_of
from tests.evaluation.worlds.database import write
from tests.evaluation.worlds.score import Score, score
from tests.evaluation.worlds.world import KINDS, Kind, World, draw_world
from tests.support.no_memory import NO_MEMORY
from tests.support.patience import PATIENCE_S
from tests.support.patient_sources import SOURCES


async def measure(kinds: Sequence[str], seed: int, number: int, budget: int) -> AsyncIterator[Score]:
    """Yield the score of each prompt as it is built; progress goes to stderr."""
    started, whole = time.monotonic(), len(kinds) * number
    jobs = [(KINDS[name], n) for name in kinds for n in range(number)]
    for done, (kind, n) in enumerate(jobs):
        sys.stderr.write(f"\r{done}/{whole} worlds, {time.monotonic() - started:.0f} s, {kind.name:<20}")
        sys.stderr.flush()
        async with opened(kind, seed, n) as (world, database):
            for question, built in [
                (question, await _built(world, database, question, budget))
                for question in world.plan.questions
            ]:
                yield score(world, question, built.manifest)
    sys.stderr.write(f"\r{whole}/{whole} worlds, {time.monotonic() - started:.0f} s{' ' * 22}\n")


@asynccontextmanager
async def opened(kind: Kind, seed: int, number: int) -> AsyncIterator[tuple[World, Database]]:
    """A world with its database, which is gone afterwards."""
    world = draw_world(kind, seed, number)
    with tempfile.TemporaryDirectory(prefix="arcpoint-world-") as folder:
        database = await write(Path(folder) / "world.db", world)
        try:
            yield world, database
        finally:
            await database.close()


async def _built(world: World, database: Database, question: str, budget: int) -> BuiltContext:
    # What a prompt holds shall not depend on the load of the machine.
    exploration.ONSET_TIMEOUT_S = PATIENCE_S
    builder = ContextBuilder(
        database, NO_MEMORY, SOURCES, default_budget=budget, clock=lambda: world.plan.gateway.as_of
    )
    return await builder.build(QuestionInput(question=question))


async def show(console: Console, kind: str, seed: int, budget: int) -> None:
    """Print one world: what is true, each prompt, and what became of what it tells."""
    async with opened(KINDS[kind], seed, 0) as (world, database):
        for line in truth(world):
            console.print(line, markup=False, highlight=False)
        for question in world.plan.questions:
            built = await _built(world, database, question, budget)
            console.rule(f"{question} ({budget:,} tokens)")
            console.print(built.prompt.user, markup=False, highlight=False, soft_wrap=True)
            result = score(world, question, built.manifest)
            for told, verdict in result.judged:
                console.print(f"{verdict.upper()}: [{told.ref}] {told.text}", markup=False, soft_wrap=True)
            for name in result.missing:
                console.print(f"MISSING: {name}", markup=False)


def truth(world: World) -> Iterator[str]:
    """What is true of a world, with sizes as stated and as counted."""
    plan = world.plan
    yield f"{world.kind.name} as of {plan.gateway.as_of:%a %Y-%m-%d %H:%M}, {len(world.calls.at):,} requests"
    for change in plan.changes:
        begin, last = (plan.gateway.moment(at) for at in change.begin)
        end = f"until {plan.gateway.moment(change.end):%H:%M}" if change.end else "to now"
        counted = size_of(change, world.calls, world.usual, plan.now)
        kind = "true" if change.needed else "follows"
        yield (
            f"  {kind}: {change.metric} of {change.where}: {change.size:.2f} "
            f"(counted {counted:.2f}) from {begin:%m-%d %H:%M} to {last:%H:%M} {end}"
        )
    for change in plan.planned:
        yield f"  to be expected: {change.metric} of {change.where}: {change.size:.2f}"
    names = ", ".join(cause.name for cause in plan.causes)
    yield f"  cause: {names or 'no recorded change'}"
