"""Recalls: the right incident, never from the future, never itself, and nothing when nothing is alike."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from context_builder.deadlines import Deadlines
from memory.embedding.embedder import Vectors
from memory.embedding.hashing import HashingEmbedder
from memory.errors import MemoryUnavailable
from memory.index.chroma import ChromaIndex
from memory.recall.abstention import MIN_CONFIDENCE
from memory.recall.results import NoMatch, RecallQuery
from memory.text.recipe import query_text
from tests.support.incident_world import EPOCH, LATER, SCENES, World, distinct, ids, incident

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_incident_like_a_past_one_finds_it_with_the_values_of_the_database(world: World) -> None:
    """A recollection is the row of the incident, with how alike it is and which query it answers."""
    stored = [incident(number, number) for number in range(len(SCENES))]
    await world.add(*stored)
    await world.memory().sync()
    query = RecallQuery(text=query_text(title="Pool of the router exhausted again, 504", target="gpt-4/aws"))
    recall = await world.recall(query)
    first = recall.recollections[0]
    assert first.query is query
    for name in ("public_id", "title", "symptoms", "target", "severity", "started_at", "resolved_at",
                 "root_cause", "resolution"):  # fmt: skip
        assert getattr(first, name) == getattr(stored[0], name), name
    assert 0.3 < first.similarity < 1
    assert MIN_CONFIDENCE <= first.confidence < 1
    assert (first.recurrences, first.last_seen) == (1, EPOCH)
    assert recall.misses == ()


async def test_nothing_is_recalled_that_was_not_resolved_before_the_moment_asked_about(world: World) -> None:
    """The leak test: for any `as_of`, what is recalled, counted or last seen was over strictly before it."""
    chance = random.Random(7)  # noqa: S311  repeatable, not secret
    lasting = [timedelta(minutes=chance.randrange(1, 5000)) for _ in range(40)]
    stored = [
        incident(number, number % 2, resolved_at=EPOCH + timedelta(hours=number) + lasting[number])
        for number in range(40)
    ]
    await world.add(*stored)
    memory = world.memory()
    await memory.sync()
    text = f"{SCENES[0][0]} {SCENES[0][2]}"
    ends = [one.resolved_at for one in stored if one.resolved_at is not None]
    moments = [*chance.sample(ends, 8), EPOCH - timedelta(days=1), LATER]
    moments += [EPOCH + timedelta(minutes=chance.randrange(5000)) for _ in range(8)]
    for as_of in moments:
        over = [
            one
            for one in stored
            if one.target == SCENES[0][1] and one.resolved_at and one.resolved_at < as_of
        ]
        recall = await world.recall(text, as_of=as_of, memory=memory)
        alike = [one for one in recall.recollections if one.target == SCENES[0][1]]
        assert all(one.resolved_at < as_of for one in recall.recollections)
        assert [one.recurrences for one in alike] == ([len(over)] if over else [])
        assert [one.last_seen for one in alike] == ([max(one.started_at for one in over)] if over else [])


async def test_the_database_decides_even_where_the_index_is_behind(world: World) -> None:
    """An incident that was reopened, or whose resolution moved, is judged by its row, not by the index."""
    reopened, moved, kept = await world.add(distinct(1), distinct(2), distinct(3))
    memory = world.memory()
    await memory.sync()
    await world.change(reopened, status="active", resolved_at=None)
    await world.change(moved, resolved_at=LATER)
    texts = [distinct(number).title for number in (1, 2, 3)]
    assert ids(await world.recall(*texts, memory=memory)) == [kept]


async def test_an_incident_never_recalls_itself(world: World) -> None:
    """Excluded, an incident is not found by its own words, and not counted among its recurrences."""
    first, again, _ = await world.add(incident(1), incident(2), distinct(3))
    memory = world.memory()
    await memory.sync()
    text = (await world.entries())[0][1]
    recall = await world.recall(RecallQuery(text=text, exclude_incident_id=first), memory=memory)
    assert ids(recall) == [again]
    assert recall.recollections[0].recurrences == 1


async def test_unrelated_text_recalls_nothing_and_says_how_close_the_closest_was(world: World) -> None:
    """Nothing similar is an answer: a miss per query, with the best similarity there was."""
    await world.add(*(incident(number, number) for number in range(len(SCENES))))
    await world.memory().sync()
    recall = await world.recall("how do I bake sourdough bread with rye flour", "", "🍞 面包 хлеб")
    assert recall.recollections == ()
    assert [miss.query.text[:3] for miss in recall.misses] == ["how", "", "🍞 面"]
    assert all(miss.best_similarity is not None and miss.best_similarity < 0.2 for miss in recall.misses)


async def test_a_memory_without_incidents_answers_that_it_has_nothing(world: World) -> None:
    """An empty database is a state like any other: syncing and recalling work, and find nothing."""
    memory = world.memory()
    report = await memory.sync()
    assert (report.entries, report.embedded, report.upserted) == (0, 0, 0)
    query = RecallQuery(text="anything")
    assert (await world.recall(query, memory=memory)).misses == (NoMatch(query, None),)
    assert (await world.recall(memory=memory)).misses == ()


async def test_recurrences_are_one_result_and_each_query_gets_its_best_first(world: World) -> None:
    """With room for two, two queries get one result each, though one of them has many close matches."""
    stored = [incident(number, 0) for number in range(5)] + [incident(number, 1) for number in (5, 6)]
    numbers = await world.add(*stored)
    await world.memory().sync()
    pool, limits = (f"{title} {symptoms}" for title, _, symptoms, _, _ in SCENES[:2])
    recall = await world.recall(pool, limits, limit=2)
    assert {one.query.text: one.recurrences for one in recall.recollections} == {pool: 5, limits: 2}
    twice = await world.recall(pool, pool.upper(), limit=3)
    assert [one.recurrences for one in twice.recollections] == [5]
    assert set(ids(recall)) <= set(numbers)


@pytest.mark.both_databases
async def test_recurrences_of_one_text_are_told_apart_by_the_database(world: World) -> None:
    """Incidents that read the same are one row of the index; the moment decides which is recalled."""
    numbers = await world.add(*(incident(number, 0) for number in range(10)), distinct(20))
    memory = world.memory()
    report = await memory.sync()
    assert (report.entries, report.upserted) == (11, 2)
    status = await memory.status()
    assert (status.entries, status.vectors, status.lag) == (11, 2, 0)
    text = f"{SCENES[0][0]} {SCENES[0][2]}"
    for over in (1, 4, 10):
        as_of = EPOCH + timedelta(hours=over)
        for excluded, found, count in (
            (None, over, over), (over, over - 1, over - 1), (1, over, over - 1), (11, over, over)
        ):  # fmt: skip
            excluded_id = None if excluded is None else numbers[excluded - 1]
            query = RecallQuery(text=text, exclude_incident_id=excluded_id)
            recall = await world.recall(query, as_of=as_of, memory=memory)
            seen = [(one.incident_id, one.recurrences, one.last_seen) for one in recall.recollections]
            started = EPOCH + timedelta(hours=found - 1)
            assert seen == ([(numbers[found - 1], count, started)] if count else [])


async def test_many_recurrences_of_one_incident_crowd_out_no_other(sqlite_world: World) -> None:
    """However often the closest incident came back, the next one is found too, and none is left uncounted."""
    title, target, symptoms, _, _ = SCENES[0]
    other = incident(500, 0, title=f"{title} of the gateway", root_cause="clients leak sockets; fixed in 4.1")
    variants = (incident(number, 0, symptoms=f"{symptoms} in pod {number}") for number in range(120))
    await sqlite_world.add(*variants, other)
    await sqlite_world.memory().sync()
    recall = await sqlite_world.recall(query_text(title=title, symptoms=symptoms, target=target))
    assert [one.recurrences for one in recall.recollections] == [120, 1]
    assert recall.recollections[1].root_cause == other.root_cause


@pytest.mark.both_databases
async def test_hostile_texts_are_remembered_and_recalled(world: World) -> None:
    """Megabytes, control characters and any script go in, and come out as they are in the database."""
    hostile = [
        "x" * 2_000_000,
        "слово " * 300_000,
        "数据库连接池耗尽 😀 \u202eevil\u200b",
        "' ; DROP TABLE incidents -- {}%s\\",
        "   \n\t  ",
    ]
    numbers = await world.add(*(distinct(at, symptoms=text) for at, text in enumerate(hostile)))
    memory = world.memory()
    await memory.sync()
    for number, text in zip(numbers, hostile, strict=True):
        recall = await world.recall(f"{distinct(numbers.index(number)).title} {text}", memory=memory)
        found = recall.recollections[0]
        assert (found.incident_id, found.symptoms) == (number, text)
    assert max(len(text) for _, text, _ in await world.entries()) < 6_000


async def test_another_model_or_no_index_is_refused_with_what_to_do(world: World) -> None:
    """Vectors of different models are never compared: recall and sync say to rebuild, status says why."""
    await world.add(distinct(1))
    with pytest.raises(MemoryUnavailable, match="no memory index has been built yet; run `arcpoint memory"):
        await world.recall("anything")
    await world.memory().sync()
    before = await world.entries()
    other = world.memory(embedder=HashingEmbedder(256))
    for refused in (world.recall("anything", memory=other), other.sync()):
        with pytest.raises(MemoryUnavailable, match="model is hashing-512 instead of hashing-256; run"):
            await refused
    assert await world.entries() == before
    status = await other.status()
    assert "instead of hashing-256" in (status.unavailable or "")
    assert (status.entries, status.lag) == (1, 1)
    await other.rebuild()
    assert len((await world.recall(distinct(1).title, memory=other)).recollections) == 1


async def test_the_same_name_with_other_weights_is_refused(sqlite_world: World) -> None:
    """A model is its weights, not its name."""
    await sqlite_world.memory().sync()
    changed = HashingEmbedder()
    changed.weights_hash = "0" * 64
    with pytest.raises(MemoryUnavailable, match=r"weights hash is .* instead of 000000000000; run"):
        await sqlite_world.recall("anything", memory=sqlite_world.memory(embedder=changed))


class SlowEmbedder(HashingEmbedder):
    """Never comes to the end of a text."""

    async def embed(self, texts: Sequence[str]) -> Vectors:
        await asyncio.Event().wait()
        return await super().embed(texts)


async def test_a_slow_model_costs_a_recall_its_deadline_and_no_more(sqlite_world: World) -> None:
    """Law 2: a recall ends at its deadline, with a reason."""
    await sqlite_world.memory().sync()
    slow = sqlite_world.memory(embedder=SlowEmbedder(), deadline_s=0.3)
    with pytest.raises(MemoryUnavailable, match=r"did not answer within 0\.3 s$"):
        await sqlite_world.recall("anything", memory=slow)


class BusyEmbedder(HashingEmbedder):
    """Keeps the processor from everyone for one and a half seconds."""

    async def embed(self, texts: Sequence[str]) -> Vectors:
        began = time.thread_time()
        for tenth in range(1, 16):
            while time.thread_time() - began < tenth / 10:
                pass
            await asyncio.sleep(0)
        return await super().embed(texts)


async def test_a_recall_that_waits_for_the_processor_is_not_late(sqlite_world: World) -> None:
    """Time in which the process was busy does not count where its owner counts it so."""
    await sqlite_world.memory().sync()
    busy = sqlite_world.memory(embedder=BusyEmbedder(), deadline_s=1.0, within=Deadlines().within)
    assert not (await sqlite_world.recall("anything", memory=busy)).recollections


class AbsentModel(HashingEmbedder):
    """Finds that it is not there when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.found_out = asyncio.Event()

    async def load(self) -> None:
        await self.found_out.wait()
        raise MemoryUnavailable("no embedding model in /nowhere; reinstall it")


async def test_starting_never_fails_and_using_says_why(sqlite_world: World, own_index: ChromaIndex) -> None:
    """A service starts without its memory; each use then tells what is wrong, as soon as that is known."""
    memory = sqlite_world.memory(embedder=AbsentModel(), index=own_index, deadline_s=0.1)
    await memory.start()
    await memory.start()
    with pytest.raises(MemoryUnavailable, match=r"within 0\.1 s; it is still starting, ask again"):
        await sqlite_world.recall("anything", memory=memory)
    model = AbsentModel()
    model.found_out.set()
    patient = sqlite_world.memory(embedder=model, index=own_index)
    with pytest.raises(MemoryUnavailable, match="no embedding model in /nowhere; reinstall it"):
        await sqlite_world.recall("anything", memory=patient)
    assert (await patient.status()).unavailable == "no embedding model in /nowhere; reinstall it"
    await memory.close()
    await patient.close()


@pytest.mark.process
async def test_closing_while_it_starts_leaves_nothing_behind(sqlite_world: World, folder: Path) -> None:
    """Closed at any moment of its start, memory has no worker left; used after that it says so."""
    for delay_s in (0, 0.1):
        index = ChromaIndex(folder)
        memory = sqlite_world.memory(index=index)
        await memory.start()
        await asyncio.sleep(delay_s)
        await memory.close()
        assert index.worker_pid is None
        with pytest.raises(MemoryUnavailable, match="incident memory is closed"):
            await memory.sync()


async def test_arguments_that_make_no_sense_are_refused(sqlite_world: World) -> None:
    """Law 10: a naive `as_of` or room for nothing is an error that says what is accepted."""
    with pytest.raises(ValueError, match="limit=0; recall at least 1"):
        await sqlite_world.recall("anything", limit=0)
    with pytest.raises(ValueError, match="no time zone; pass an aware datetime"):
        await sqlite_world.recall("anything", as_of=LATER.replace(tzinfo=None))


async def test_the_same_question_gets_the_same_answer(sqlite_world: World) -> None:
    """Law 6: recalls do not depend on when, how often, or beside which other queries they are made."""
    await sqlite_world.add(*(incident(number, number % 6) for number in range(30)))
    memory = sqlite_world.memory()
    await memory.sync()
    texts = [f"{title} {cause}" for title, _, _, cause, _ in SCENES]
    alone = {text: (await sqlite_world.recall(text, memory=memory, limit=1)).recollections for text in texts}
    together = (await sqlite_world.recall(*texts, memory=memory, limit=6)).recollections
    assert sorted(together, key=lambda one: one.incident_id) == sorted(
        (one for found in alone.values() for one in found), key=lambda one: one.incident_id
    )
