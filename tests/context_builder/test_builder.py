"""Law 2: max, not sum, and no source fails the question. Law 3: one snapshot. Law 6: reproducible."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import func, select

from context_builder.builder import MAX_READERS, BuiltContext, ContextBuilder
from context_builder.prompt.manifest import Manifest
from context_builder.prompt.render import render
from context_builder.question.request import ContextRequest, QuestionInput, Topic
from context_builder.source import ContextSource, Fact, Section, Status, Stores
from models import User
from models.database import Database
from models.errors import DatabaseUnreachable
from tests.support.no_memory import NO_MEMORY
from tests.support.patient_sources import SOURCES
from tests.support.prepared_databases import STORY_ANCHOR

Read = Callable[[ContextRequest, Stores], Awaitable[Section]]


def source(name: str, read: Read, *, prefix: str | None = None, deadline_s: float = 60.0) -> ContextSource:
    return ContextSource(name, prefix or name[0].upper(), frozenset({Topic.HEALTH}), deadline_s, read)


def builder(database: Database, *sources: ContextSource, clock: datetime = STORY_ANCHOR) -> ContextBuilder:
    return ContextBuilder(
        database,
        NO_MEMORY,
        sources or SOURCES,
        default_budget=4000,
        clock=lambda: clock,
    )


async def build(database: Database, *sources: ContextSource, question: str = "What is down?") -> BuiltContext:
    return await builder(database, *sources).build(QuestionInput(question=question))


async def one_fact(_request: ContextRequest, _stores: Stores) -> Section:
    return Section("fine", (Fact("all is well"),))


async def test_all_sources_run_at_the_same_time(database: Database) -> None:
    """Law 2: no source finishes before every other has begun."""
    everyone = asyncio.Barrier(4)

    async def read(_request: ContextRequest, stores: Stores) -> Section:
        async with stores.snapshot.session() as session:
            await session.scalar(select(func.count()).select_from(User))
            await everyone.wait()
        return Section("met all the others")

    built = await build(database, *(source(name, read, deadline_s=15) for name in "abcd"))
    assert [entry.status for entry in built.manifest.sources] == [Status.OK] * 4


async def hang(_request: ContextRequest, _stores: Stores) -> Section:
    await asyncio.Event().wait()
    raise AssertionError


async def fail(_request: ContextRequest, _stores: Stores) -> Section:
    raise RuntimeError("the disk is on fire\nsecond line")


async def cancel_itself(_request: ContextRequest, _stores: Stores) -> Section:
    raise asyncio.CancelledError


async def hang_in_the_database(_request: ContextRequest, stores: Stores) -> Section:
    async with stores.snapshot.session() as session:
        connection = await session.connection()
        if connection.dialect.name == "sqlite":
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            await driver.create_function("nap", 0, lambda: time.sleep(0.0005))
            # It takes its time without the processor, and lets SQLite ask now and then whether to stop.
            await connection.exec_driver_sql(
                "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 100000) "
                "SELECT count(nap()) FROM c"
            )
        await connection.exec_driver_sql("SELECT pg_sleep(60)")
    raise AssertionError


@pytest.mark.parametrize(
    ("broken", "status", "says"),
    [
        (hang, Status.TIMEOUT, "no response within 0.2 s"),
        (hang_in_the_database, Status.TIMEOUT, "no response within 0.2 s"),
        (fail, Status.ERROR, "the disk is on fire"),
        (cancel_itself, Status.ERROR, "cancelled itself"),
    ],
)
async def test_a_broken_source_costs_its_deadline_and_is_named_everywhere(
    database: Database, broken: Read, status: Status, says: str
) -> None:
    """Law 2: the others are read, the question is built, prompt and manifest name source and status."""
    deadline_s = 0.2 if status is Status.TIMEOUT else 60
    started = time.perf_counter()
    built = await build(database, source("bad", broken, deadline_s=deadline_s), source("good", one_fact))
    assert time.perf_counter() - started < 20, "its deadline, on however slow a machine"
    bad, good = sorted(built.manifest.sources, key=lambda entry: entry.name)
    assert (bad.status, good.status) == (status, Status.OK)
    assert says in (bad.error or "")
    assert f"[B0] bad ({status}): {bad.error}" in built.prompt.user
    assert "[G1] all is well" in built.prompt.user
    assert "second line" not in built.prompt.user


async def fail_in_the_database(_request: ContextRequest, stores: Stores) -> Section:
    async with stores.snapshot.session() as session:
        await (await session.connection()).exec_driver_sql("SELECT 1 FROM no_such_table")
    raise AssertionError


async def fail_beside_the_database(_request: ContextRequest, stores: Stores) -> Section:
    async with stores.snapshot.session() as session:
        await session.scalar(select(1))
        raise RuntimeError("the figures do not add up")


async def count_users(_request: ContextRequest, stores: Stores) -> Section:
    async with stores.snapshot.session() as session:
        return Section(f"{await session.scalar(select(func.count()).select_from(User))} users")


@pytest.mark.parametrize(
    ("broken", "number", "status"),
    [
        (hang_in_the_database, MAX_READERS - 1, Status.TIMEOUT),
        (fail_in_the_database, 3 * MAX_READERS, Status.ERROR),
        (fail_beside_the_database, 3 * MAX_READERS, Status.ERROR),
    ],
)
async def test_broken_sources_leave_connections_to_the_others(
    database: Database, broken: Read, number: int, status: Status
) -> None:
    """Law 2: hanging sources hold one connection each, failed ones release it; the others need not wait."""
    ended: list[str] = []

    def recorded(name: str, read: Read) -> Read:
        async def recorded_read(request: ContextRequest, stores: Stores) -> Section:
            try:
                return await read(request, stores)
            finally:
                ended.append(name)

        return recorded_read

    deadline_s = 4 if status is Status.TIMEOUT else 60
    bad = [
        source(f"bad {n}", recorded("bad", broken), prefix=f"B{chr(65 + n)}", deadline_s=deadline_s)
        for n in range(number)
    ]
    good = [source(f"good {n}", recorded("good", count_users), prefix=f"G{chr(65 + n)}") for n in range(12)]
    built = await build(database, *bad, *good)
    entries = {entry.name: entry for entry in built.manifest.sources}
    assert {entries[one.name].status for one in bad} == {status}
    assert {entries[one.name].header for one in good} == {"0 users"}
    assert status is not Status.TIMEOUT or ended[:12] == ["good"] * 12


async def test_every_real_source_may_fail_at_once(story: Database) -> None:
    """Law 2: with no source left there is still a prompt that says so."""
    sources = [source(s.name, fail, prefix=s.prefix) for s in SOURCES]
    built = await build(story, *sources)
    assert {entry.status for entry in built.manifest.sources} == {Status.ERROR}
    for entry in built.manifest.sources:
        assert f"[{entry.ref}] {entry.name} (error)" in built.prompt.user


async def test_all_sources_of_a_question_read_one_snapshot(database: Database) -> None:
    """Law 3: a commit between two sources is seen by both or by neither."""
    first_read = asyncio.Event()
    committed = asyncio.Event()

    async def count(stores: Stores) -> Section:
        async with stores.snapshot.session() as session:
            return Section(f"{await session.scalar(select(func.count()).select_from(User))} users")

    async def early(_request: ContextRequest, stores: Stores) -> Section:
        section = await count(stores)
        first_read.set()
        return section

    async def late(_request: ContextRequest, stores: Stores) -> Section:
        await committed.wait()
        return await count(stores)

    async def commit() -> None:
        await first_read.wait()
        async with database.write() as session:
            session.add(User(public_id="u", tier="budget", created_at=STORY_ANCHOR, updated_at=STORY_ANCHOR))
        committed.set()

    writer = asyncio.create_task(commit())
    built = await build(database, source("early", early), source("late", late))
    await writer
    assert {entry.header for entry in built.manifest.sources} == {"0 users"}


async def test_a_cancelled_question_gives_its_connections_back(database: Database) -> None:
    """After a client has left, no connection stays in use and the next question is answered."""
    began = asyncio.Event()

    async def read(request: ContextRequest, stores: Stores) -> Section:
        async with stores.snapshot.session():
            began.set()
            return await hang_in_the_database(request, stores)

    asking = asyncio.create_task(build(database, source("bad", read)))
    await began.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert database.read_engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert (await build(database, source("good", one_fact))).manifest.sources[0].status is Status.OK


@pytest.mark.parametrize(
    "question",
    [
        "Which deployments are unhealthy?",
        "Why are premium users slow?",
        "How many requests did each tier send this week?",
        "Was llama-70b/neocloud broken before, and is user_acme over budget since Tuesday?",
    ],
)
async def test_same_data_moment_and_question_give_the_same_bytes(story: Database, question: str) -> None:
    """Law 6: two builds give the same prompt, and the stored manifest reproduces it."""
    first, second = [await builder(story).build(QuestionInput(question=question)) for _ in range(2)]
    assert first.prompt == second.prompt
    stored = json.loads(json.dumps(first.manifest.to_json()))
    assert render(Manifest.from_json(stored)) == first.prompt


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 3, 2, 1, 0), (2, 0, 4, 1, 3), (3, 4, 0, 2, 1)])
async def test_the_order_in_which_sources_finish_does_not_matter(
    database: Database, order: tuple[int, ...]
) -> None:
    """Law 6: the prompt is the same as when all finish at once, even with equally useful facts."""
    names = ("alpha", "beta", "gamma", "delta", "eta")
    finished = [asyncio.Event() for _ in order]

    def read_in_turn(number: int) -> Read:
        async def read(_request: ContextRequest, _stores: Stores) -> Section:
            turn = order.index(number)
            if turn:
                await finished[order[turn - 1]].wait()
            finished[number].set()
            return section(number)

        return read

    def read_at_once(number: int) -> Read:
        async def read(_request: ContextRequest, _stores: Stores) -> Section:
            return section(number)

        return read

    def section(number: int) -> Section:
        return Section("fine", tuple(Fact(f"fact {n} of {names[number]}") for n in range(30)))

    prompts = [
        (await build(database, *(source(name, read(n)) for n, name in enumerate(names)))).prompt
        for read in (read_at_once, read_in_turn)
    ]
    assert prompts[0] == prompts[1]


async def test_both_databases_give_the_same_prompt(sqlite_story_url: str, postgres_story_url: str) -> None:
    """Law 6: the prompt depends on the data, not on the database that holds it."""
    prompts = []
    for url in (sqlite_story_url, postgres_story_url):
        database = Database(url)
        prompts.append((await build(database, question="Why are premium users slow?")).prompt)
        await database.close()
    assert prompts[0] == prompts[1]


async def test_the_bound_holds_for_real_sources_at_any_budget(story: Database) -> None:
    """Law 1, on the story: whatever the budget, the bound is within it."""
    for budget in (1500, 2000, 4000, 8000, 50_000):
        built = await builder(story).build(QuestionInput(question="What is wrong?", token_budget=budget))
        assert built.manifest.token_bound <= budget


@pytest.mark.parametrize(
    ("question", "needed"),
    [
        (
            "Which deployments are unhealthy?",
            ["llama-70b/neocloud (", "DOWN", "gpt-4/k8s (", "DEGRADED"],
        ),
        ("Why are premium users slow?", ["gpt-4/aws by router version", "v2.3.1", "v2.4.0"]),
        ("How many requests did each tier send this week?", ["premium ", "standard ", "budget "]),
    ],
)
async def test_the_story_s_questions_find_their_facts_first(
    story: Database, question: str, needed: list[str]
) -> None:
    """The facts that answer a demo question are among the five most useful ones."""
    built = await build(story, *SOURCES, question=question)
    leading = " ".join(fact.text for fact in built.manifest.facts[:5])
    for text in needed:
        assert text in leading


async def test_a_lookup_that_hangs_ends_the_question(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names must be resolved first: a locked table is an error after the deadline, not an endless wait."""

    async def hang(*_: object, **__: Any) -> ContextRequest:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr("context_builder.builder.resolve", hang)
    monkeypatch.setattr("context_builder.builder.RESOLVE_DEADLINE_S", 0.1)
    with pytest.raises(DatabaseUnreachable, match=r"within 0\.1 s while names were looked up"):
        await build(database, source("good", one_fact))
    monkeypatch.undo()
    assert (await build(database, source("good", one_fact))).manifest.sources[0].status is Status.OK
