"""How long packing takes, and how near its bound comes to the budget, as the number of facts grows."""

from __future__ import annotations

import random
import time
from datetime import timedelta

from context_builder.prompt.packing import pack
from context_builder.prompt.tokens import TokenBound
from context_builder.question.request import ContextRequest, Topic, Window
from context_builder.source import ContextSource, Fact, Section, SourceResult, Status, Stores
from tests.bench.measure import QUICK, show
from tests.support.prepared_databases import STORY_ANCHOR

REPEATS = 1 if QUICK else 5
FACTS = (1_000, 10_000) if QUICK else (1_000, 10_000, 100_000)


async def _unread(_request: ContextRequest, _stores: Stores) -> Section:
    raise NotImplementedError("the facts are made here")


def readings(facts: int) -> list[SourceResult]:
    """Ten sources that share the facts; texts like those of a request log."""
    chance = random.Random(facts)  # noqa: S311  not for secrets
    made = []
    for prefix in "ABCDEFGHIJ":
        own = tuple(
            Fact(
                f"req_{chance.getrandbits(64):016x} failed at 2026-11-20 08:{chance.randrange(60):02d} on "
                f"llama-70b/k8s: timeout 504, {chance.randrange(40_000):,} ms; tier budget; router v2.4.0",
                "timeout 504 on llama-70b/k8s",
                chance.random(),
            )
            for _ in range(facts // 10)
        )
        source = ContextSource(f"source {prefix}", prefix, frozenset({Topic.ERRORS}), 1.0, _unread)
        made.append(SourceResult(source, Section(f"{len(own)} failures", own), Status.OK, 10))
    return made


def packing() -> None:
    """Prints milliseconds and bound against budget."""
    window = Window(STORY_ANCHOR - timedelta(hours=24), STORY_ANCHOR)
    rows = []
    for facts in FACTS:
        given = readings(facts)
        for budget in (4_000, 100_000):
            request = ContextRequest(
                question="What fails?",
                as_of=STORY_ANCHOR,
                is_now=True,
                window=window,
                token_budget=budget,
                topics=frozenset({Topic.ERRORS}),
            )
            walls = []
            for _ in range(REPEATS):
                started = time.perf_counter()
                manifest = pack(request, given, TokenBound())
                walls.append((time.perf_counter() - started) * 1000)
            kept = sum(source.kept for source in manifest.sources)
            rows.append(
                [
                    f"{facts:,}", f"{budget:,}", f"{sorted(walls)[REPEATS // 2]:.0f}", f"{kept:,}",
                    f"{manifest.token_bound:,}", f"{100 * manifest.token_bound / budget:.1f} %",
                ]
            )  # fmt: skip
    show("Packing", ("facts", "budget", "median ms", "kept", "bound", "of budget"), rows)
