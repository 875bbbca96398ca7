"""Questions about now that share a tick."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from context_builder.builder import BuiltContext, ContextBuilder
from context_builder.prompt.manifest import Manifest
from context_builder.prompt.prompt import Prompt
from context_builder.question.request import ContextRequest, QuestionInput, Topic, Wording
from context_builder.source import ContextSource, Section, SourceResult, Status, Stores
from models import User
from models.database import Database
from tests.support.no_memory import NO_MEMORY
from tests.support.patience import PATIENCE_S
from tests.support.patient_sources import SOURCES
from tests.support.prepared_databases import STORY_ANCHOR

QUESTIONS = (
    "Which deployments are unhealthy?",
    "Why are premium users slow?",
    "premium vs standard: who is slower this week?",
    "errors by model yesterday",
    "How much did user_acme spend today?",
    "what changed on gpt-4/aws before the last deploy?",
)


def builder_of(database: Database, *sources: ContextSource) -> ContextBuilder:
    return ContextBuilder(
        database, NO_MEMORY, sources or SOURCES, default_budget=100_000, clock=lambda: STORY_ANCHOR
    )


async def ask(builder: ContextBuilder, question: str) -> BuiltContext:
    return await builder.build(QuestionInput(question=question))


class CountingSource:
    """Counts the users in its snapshot, and how often it was read."""

    def __init__(self, name: str, *asks: Wording) -> None:
        self.reads: list[ContextRequest] = []
        self.stores: list[Stores] = []
        about = frozenset({Topic.HEALTH})
        self.source = ContextSource(name, name[0].upper(), about, PATIENCE_S, self.read, asks=frozenset(asks))

    async def read(self, request: ContextRequest, stores: Stores) -> Section:
        self.reads.append(request)
        self.stores.append(stores)
        async with stores.snapshot.session() as session:
            return Section(f"{await session.scalar(select(func.count()).select_from(User))} users")


async def add_user(database: Database, name: str) -> None:
    async with database.write() as session:
        session.add(User(public_id=name, tier="budget", created_at=STORY_ANCHOR, updated_at=STORY_ANCHOR))


async def test_a_shared_tick_gives_the_facts_that_a_snapshot_of_ones_own_gives(
    story: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 6: no matter who else asks, and in whatever order, a question gets the same facts and headers."""
    monkeypatch.setattr("context_builder.exploration.exploration.ONSET_TIMEOUT_S", PATIENCE_S)
    alone = builder_of(story)
    expected = [(await ask(alone, question)).manifest for question in QUESTIONS]
    shared = builder_of(story)
    async with shared.shared_ticks(PATIENCE_S):
        for order in (QUESTIONS, tuple(reversed(QUESTIONS))):
            built = await asyncio.gather(*(ask(shared, question) for question in order))
            found = {one.request.question: one.manifest for one in built}
            for one in expected:
                manifest = found[one.question]
                assert {f.ref: f.text for f in manifest.facts} == {f.ref: f.text for f in one.facts}
                assert {s.name: (s.status, s.header) for s in manifest.sources} == {
                    s.name: (s.status, s.header) for s in one.sources
                }


async def test_a_source_is_read_once_for_questions_that_are_the_same_to_it(database: Database) -> None:
    """Fifty wordings are one read, unless the source depends on them; each gets no more than it asks."""
    plain, worded = CountingSource("plain"), CountingSource("worded", Wording.QUESTION)
    builder = builder_of(database, plain.source, worded.source)
    async with builder.shared_ticks(PATIENCE_S):
        await asyncio.gather(*(ask(builder, f"What is wrong, take {n}?") for n in range(50)))
    assert (len(plain.reads), len(worded.reads)) == (1, 50)
    assert not plain.reads[0].question
    assert plain.reads[0].topics == frozenset() == worded.reads[0].topics


async def test_a_context_is_built_once_for_questions_that_are_the_same(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal questions with equal options are packed once in a tick; any other is packed for itself."""
    builder = builder_of(database, CountingSource("plain").source)
    packed: list[str] = []
    pack = builder._pack

    def counted(request: ContextRequest, results: Sequence[SourceResult]) -> tuple[Manifest, Prompt]:
        packed.append(request.question)
        return pack(request, results)

    monkeypatch.setattr(builder, "_pack", counted)
    asked = [QuestionInput(question="What is wrong?"), QuestionInput(question="What is broken?")]
    asked.append(replace(asked[0], token_budget=50_000))
    async with builder.shared_ticks(PATIENCE_S):
        built = await asyncio.gather(*(builder.build(question) for question in asked * 20))
    assert sorted(packed) == ["What is broken?", "What is wrong?", "What is wrong?"]
    assert {one.manifest.token_budget for one in built} == {50_000, 100_000}


@pytest.mark.both_databases
async def test_every_section_of_a_prompt_is_of_one_tick(database: Database) -> None:
    """Law 3: under a writer that never rests, no prompt mixes two moments, and none goes back in time."""
    sources = [CountingSource(name) for name in ("alpha", "beta", "gamma")]
    builder = builder_of(database, *(one.source for one in sources))
    done = asyncio.Event()

    async def write() -> None:
        for number in range(60):
            await add_user(database, f"user_{number}")
        done.set()

    async def keep_asking() -> list[int]:
        counts = []
        while not done.is_set():
            built = await ask(builder, "What is wrong?")
            (header,) = {entry.header for entry in built.manifest.sources}
            counts.append(int(header.split()[0]))
        return counts

    async with builder.shared_ticks(0.02), asyncio.TaskGroup() as group:
        group.create_task(write())
        askers = [group.create_task(keep_asking()) for _ in range(4)]
    for asker in askers:
        assert asker.result() == sorted(asker.result())
    assert len({count for asker in askers for count in asker.result()}) > 1, "ticks follow the database"


async def test_a_question_about_the_past_is_not_served_from_a_live_tick(database: Database) -> None:
    """It reads a snapshot of its own, and says nothing of an age."""
    counting = CountingSource("plain")
    builder = builder_of(database, counting.source)
    async with builder.shared_ticks(PATIENCE_S):
        await ask(builder, "What is wrong?")
        past = QuestionInput(question="What is wrong?", as_of=STORY_ANCHOR - timedelta(minutes=1))
        built = await builder.build(past)
    live, own = counting.stores
    assert live.snapshot is not own.snapshot
    assert (built.manifest.max_age_s, built.manifest.age_ms) == (0, 0)


async def test_the_age_of_what_is_shared_is_told(database: Database) -> None:
    """The prompt says how old it may be, the same for a whole tick; the manifest how old it was."""
    moment = STORY_ANCHOR
    builder = ContextBuilder(
        database, NO_MEMORY, [CountingSource("plain").source], default_budget=4000, clock=lambda: moment
    )
    async with builder.shared_ticks(PATIENCE_S):
        first = await ask(builder, "What is wrong?")
        moment += timedelta(seconds=1.5)
        second = await ask(builder, "What is wrong?")
    assert (first.manifest.age_ms, second.manifest.age_ms) == (0, 1500)
    assert first.prompt == second.prompt
    assert f"(now; read at most {PATIENCE_S:g} s before the question)" in first.prompt.user
    assert second.manifest.as_of == STORY_ANCHOR


async def test_a_source_that_hangs_holds_back_nobody_else(database: Database) -> None:
    """Law 2: its deadline is each question's own, and the next question reads it again."""
    hangs = True

    async def read(request: ContextRequest, stores: Stores) -> Section:
        if hangs:
            await asyncio.Event().wait()
        return await counting.read(request, stores)

    counting = CountingSource("plain")
    slow = replace(counting.source, name="slow", prefix="S", deadline_s=0.2, read=read)
    builder = builder_of(database, counting.source, slow)
    async with builder.shared_ticks(PATIENCE_S):
        built = await asyncio.gather(*(ask(builder, f"What is wrong, take {n}?") for n in range(10)))
        for one in built:
            assert {entry.name: entry.status for entry in one.manifest.sources} == {
                "plain": Status.OK,
                "slow": Status.TIMEOUT,
            }
        hangs = False
        again = await ask(builder, "What is wrong, take 0?")
    assert {entry.status for entry in again.manifest.sources} == {Status.OK}
    assert database.read_engine.pool.checkedout() == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("max_age_s", [0.0, PATIENCE_S])
async def test_what_was_asked_is_read_ahead_for_the_next_tick(database: Database, max_age_s: float) -> None:
    """Reading ahead asks the last question of each kind again; without sharing nothing is remembered."""
    counting = CountingSource("plain")
    builder = builder_of(database, counting.source)
    async with builder.shared_ticks(max_age_s):
        for question in ("What is wrong?", "What is broken?", "What is wrong with premium users?"):
            await ask(builder, question)
        before = len(counting.reads)
        async with builder._open_tick() as tick:
            await builder._read_ahead(tick)
    ahead = counting.reads[before:]
    assert [request.scope.tiers for request in ahead] == ([("premium",), ()] if max_age_s else [])
