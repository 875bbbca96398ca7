"""What a context costs where questions share a tick: the first of a scope, and every other one."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from itertools import count, cycle, product

from context_builder.builder import BuiltContext, ContextBuilder
from context_builder.question.request import QuestionInput
from context_builder.sources import discover
from models.database import Database
from tests.bench.contexts import builder
from tests.bench.measure import Timing, measure, show
from tests.support.no_memory import NO_MEMORY

WORDINGS = (
    "why is the error rate up for", "how many requests failed on", "is latency worse for",
    "what changed around", "how healthy is",
)  # fmt: skip
SCOPES = ("gpt-4/aws", "gpt-4", "premium users", "budget users", "llama-70b", "standard tier")
SPANS = ("", " today", " in the last 7 days")
QUESTIONS = tuple(f"{wording} {scope}{span}?" for scope, span, wording in product(SCOPES, SPANS, WORDINGS))
"""Ninety questions about eighteen windows of scopes."""
_FOREVER_S = 3_600.0


async def shared_ticks(databases: dict[str, Database]) -> None:
    """Prints what a context costs on its own snapshot, and in a tick: first, further, and the same again."""
    rows = []
    for name, database in databases.items():
        building = builder(database, NO_MEMORY, [source for source in discover() if source.name != "recall"])
        own = await _asked(building, len(QUESTIONS))
        async with building.shared_ticks(_FOREVER_S):
            first = await _asked(building, len(QUESTIONS))
            # Another budget makes each another question, of which everything has been read.
            warm = await _asked(building, 5 * len(QUESTIONS), budgets=count(4_000))
            again = await _asked(building, 5 * len(QUESTIONS))
        rows += [
            [name, what, f"{timing.p50_ms:.1f}", f"{timing.p99_ms:.1f}", f"{timing.cpu_ms:.1f}",
             f"{own.cpu_ms / timing.cpu_ms:.1f}", f"{1_000 / timing.cpu_ms:.0f}"]
            for what, timing in (("own snapshot", own), ("first pass of a tick", first),
                                 ("another in a warm tick", warm), ("the same again", again))
        ]  # fmt: skip
    columns = ("database", "context", "p50 ms", "p99 ms", "CPU ms each", "times", "per s and core")
    show(f"{len(QUESTIONS)} different questions in one process, without recall", columns, rows)


async def _asked(building: ContextBuilder, runs: int, *, budgets: Iterator[int] | None = None) -> Timing:
    turn = cycle(QUESTIONS)

    def build() -> Awaitable[BuiltContext]:
        budget = next(budgets) if budgets else None
        return building.build(QuestionInput(question=next(turn), token_budget=budget))

    return await measure(build, runs=runs, warm_up=0)
