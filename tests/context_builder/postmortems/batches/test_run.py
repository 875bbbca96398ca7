"""Runs with batches: what is handed over, what comes back, what it may cost, and what goes wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, update

from context_builder.llm import claude_batches
from context_builder.llm.batch_model import BatchUnavailable
from context_builder.postmortems.batches import batches
from context_builder.postmortems.batches.run import BatchRun
from context_builder.postmortems.batches.progress import Event
from context_builder.postmortems.candidates import Selection
from context_builder.llm.spend import SpendTracker
from loopback.batch_behaviour import Canceled, Endpoint, Errored, Expired, Lost
from loopback.behaviour import Cut, Fail, Hang, Reply
from loopback.messages_api import MessagesApi
from models import Incident, Postmortem, PostmortemBatch, PostmortemCall, Question
from models.database import Database
from support.batch_process import PACE, PRICES, batch_run, document

INCIDENTS = 5
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
EVERYTHING = Selection()
ALL = [f"inc_{number}" for number in range(1, INCIDENTS + 1)]
LEAST = PRICES.worst_case("claude-sonnet-5-5", 0, 500) * PRICES.batch_share
"""What no call's worst case is below."""

MakeRun = Callable[..., AbstractAsyncContextManager[BatchRun]]


class Told(list[dict[str, Any]]):
    """The events of a run."""

    async def report(self, event: Event) -> None:
        self.append(document(event))

    def of(self, kind: str, field: str) -> list[Any]:
        return [each[field] for each in self if each["event"] == kind]

    async def until(self, kind: str) -> None:
        """Returns once something of a kind was told."""
        async with asyncio.timeout(20):
            while not any(each["event"] == kind for each in self):  # noqa: ASYNC110 - the list is the record
                await asyncio.sleep(0.01)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def make_run(database: Database, messages_api: MessagesApi, told: Told) -> MakeRun:
    """Runs over a few resolved incidents, the oldest of which is inc_5."""
    async with database.write() as session:
        for number in range(1, INCIDENTS + 1):
            session.add(
                Incident(
                    public_id=f"inc_{number}", title=f"Outage {number}", severity="high", status="resolved",
                    started_at=NOON - timedelta(hours=number + 1), resolved_at=NOON - timedelta(hours=number),
                )
            )  # fmt: skip
    messages_api.batches.always(Reply(text="## Summary\n\nIt was bad."))

    def make(**options: Any) -> AbstractAsyncContextManager[BatchRun]:
        return batch_run(database, messages_api.url, told.report, **options)

    return make


async def rows(database: Database, table: type[Any]) -> list[Any]:
    async with database.read() as session:
        return list(await session.scalars(select(table).order_by(table.id)))


async def go(make_run: MakeRun, selection: Selection = EVERYTHING, **options: Any) -> None:
    async with make_run(**options) as run:
        await run.run(selection, concurrency=1)


async def test_a_batch_costs_half(
    make_run: MakeRun, messages_api: MessagesApi, database: Database, told: Told
) -> None:
    """Documents, question log and the run's sum bear the batch price, which is below the worst case."""
    spending = SpendTracker()
    await go(make_run, spending=spending)
    (batch,) = messages_api.batches.known.values()
    price = PRICES.models["claude-sonnet-5-5"]
    usages = [json.loads(line)["result"]["message"]["usage"] for line in batch.lines]
    full = sum(use["input_tokens"] * price.input + use["output_tokens"] * price.output for use in usages)
    half = full / 2_000_000
    assert len(usages) == INCIDENTS
    assert spending.spent == half < told.of("Submitted", "worst_cost_usd")[0]
    assert spending.reserved == 0
    assert sum(Decimal(cost) for cost in told.of("Written", "cost")) == half
    assert sum(question.cost_usd for question in await rows(database, Question)) == half


async def test_a_second_run_has_nothing_to_do(
    make_run: MakeRun, messages_api: MessagesApi, told: Told
) -> None:
    """What is written is neither handed over nor looked up again."""
    await go(make_run)
    asked = len(messages_api.journal.requests)
    told.clear()
    await go(make_run)
    assert (len(messages_api.journal.requests), told) == (asked, [])


async def test_what_got_no_reply_is_told_and_given_back(
    make_run: MakeRun, messages_api: MessagesApi, database: Database, told: Told
) -> None:
    """Not in the same run, and after a few runs only by name: nothing is tried for ever without a word."""
    failures = (Errored(message="no"), Canceled(), Expired(), Reply(text="half", stop_reason="max_tokens"))
    messages_api.batches.outcomes(*failures)
    await go(make_run)
    assert told.of("Written", "incident") == ["inc_1"]
    reasons = dict(zip(told.of("NotWritten", "incident"), told.of("NotWritten", "reason"), strict=True))
    assert set(reasons) == {"inc_2", "inc_3", "inc_4", "inc_5"}
    assert reasons["inc_5"] == "the API failed on it (api_error): no"
    assert "canceled" in reasons["inc_4"]
    assert "expired" in reasons["inc_3"]
    assert "no room for the whole text" in reasons["inc_2"]
    assert len(messages_api.batches.submitted) == INCIDENTS
    assert [call.attempts for call in await rows(database, PostmortemCall)] == [1, 1, 1]
    assert len(await rows(database, Question)) == 2, "what was paid for is logged"

    messages_api.batches.always(Errored())
    for _ in range(2):
        await go(make_run, Selection(incidents=["inc_5"]))
    told.clear()
    submitted = len(messages_api.batches.submitted)
    await go(make_run, Selection(since=NOON - timedelta(hours=5)))
    reasons = dict(zip(told.of("NotWritten", "incident"), told.of("NotWritten", "reason"), strict=True))
    assert reasons["inc_5"] == "3 batches brought none; --incident inc_5 hands it over once more"
    assert len(messages_api.batches.submitted) == submitted + 3
    messages_api.batches.always(Reply(text="## Summary\n\nAt last."))
    await go(make_run, Selection(incidents=["inc_5"]))
    assert told.of("Written", "incident") == ["inc_5"]


async def test_a_cap_holds_over_what_is_under_way(
    make_run: MakeRun, messages_api: MessagesApi, database: Database, told: Told
) -> None:
    """Worst cases that wait at the API count, those of earlier runs too; what came cheaper makes room."""
    messages_api.batches.polls = float("inf")
    async with make_run() as run:
        working = asyncio.create_task(run.run(Selection(incidents=["inc_4", "inc_5"]), concurrency=1))
        await told.until("Waiting")
        working.cancel()
        await asyncio.wait([working])
    (worst,) = told.of("Submitted", "worst_cost_usd")
    assert {call.batch_id for call in await rows(database, PostmortemCall)} == {1}
    told.clear()
    messages_api.batches.polls = 2
    cap = worst * 2
    spending = SpendTracker(cap)
    highest = Decimal(0)

    async def watch() -> None:
        nonlocal highest
        while True:
            highest = max(highest, spending.spent + spending.reserved)
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    async with make_run(spending=spending) as run:
        await run.run(EVERYTHING, concurrency=3)
        assert run.capped == frozenset()
    watching.cancel()
    assert sorted(told.of("Written", "incident")) == ALL
    assert len(told.of("Submitted", "api_id")) == 2, "the third did not fit before the first were collected"
    assert worst < highest <= cap
    assert len(messages_api.batches.submitted) == INCIDENTS


async def test_without_room_nothing_is_handed_over(
    make_run: MakeRun, messages_api: MessagesApi, database: Database
) -> None:
    """A cap below the cheapest call leaves everything, and nothing claimed."""
    for cap in (Decimal(0), LEAST):
        async with make_run(spending=SpendTracker(cap)) as run:
            await run.run(EVERYTHING, concurrency=2)
            assert len(run.capped) == INCIDENTS
    assert messages_api.journal.requests == []
    assert await rows(database, PostmortemCall) == []


@pytest.mark.parametrize("limit", [("MAX_REQUESTS", 2), ("MAX_BYTES", 5_000)])
async def test_too_many_prompts_are_several_batches(
    make_run: MakeRun,
    messages_api: MessagesApi,
    told: Told,
    monkeypatch: pytest.MonkeyPatch,
    limit: tuple[str, int],
) -> None:
    """No batch has more requests or bytes than the API takes, and no incident is in two."""
    monkeypatch.setattr(claude_batches, *limit)
    await go(make_run)
    posts = [each for each in messages_api.journal.requests if each.method == "POST"]
    assert len(posts) > 1
    assert len(set(messages_api.batches.submitted)) == len(messages_api.batches.submitted) == INCIDENTS
    for post in posts:
        size, number = int(post.headers["content-length"]), len(post.body["requests"])
        assert {"MAX_REQUESTS": number, "MAX_BYTES": size}[limit[0]] <= limit[1]
    assert len(told.of("Written", "incident")) == INCIDENTS


async def test_a_prompt_too_large_for_any_batch_costs_one_incident(
    make_run: MakeRun, messages_api: MessagesApi, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told, and given back."""
    monkeypatch.setattr(claude_batches, "MAX_BYTES", 100)
    await go(make_run, Selection(incidents=["inc_1"]))
    assert "is too large for a batch" in told.of("NotWritten", "reason")[0]
    assert messages_api.journal.requests == []


@pytest.mark.parametrize(
    "faults",
    [
        {Endpoint.RETRIEVE: [Fail(status=500), Fail(status=429), Lost()]},
        {Endpoint.RESULTS: [Cut(after_pieces=2), Cut(after_pieces=3, clean=True), Fail(status=529)]},
        {Endpoint.CREATE: [Lost()]},
        {Endpoint.CREATE: [Fail(status=529)]},
        {Endpoint.CREATE: [Lost()], Endpoint.LIST: [Fail(status=500), Fail(status=529)]},
    ],
)
async def test_trouble_passes(
    make_run: MakeRun,
    messages_api: MessagesApi,
    database: Database,
    told: Told,
    faults: dict[Endpoint, list[Any]],
) -> None:
    """Whatever fails for a while: in the end each incident was paid for once, in the same run."""
    for endpoint, some in faults.items():
        messages_api.batches.fail(endpoint, *some)
    await go(make_run)
    assert len(messages_api.batches.submitted) == len(await rows(database, Postmortem)) == INCIDENTS
    assert await rows(database, PostmortemCall) == []
    assert all(batch.ended_at and batch.api_id for batch in await rows(database, PostmortemBatch))
    assert told.of("Note", "message")


async def test_a_refusal_ends_the_run_and_leaves_nothing_open(
    make_run: MakeRun, messages_api: MessagesApi, database: Database
) -> None:
    """Nothing was taken: the incidents are free, it was no attempt, and the reason is the API's."""
    messages_api.batches.fail(Endpoint.CREATE, Fail(status=402, message="no credit"))
    with pytest.raises(BatchUnavailable, match="no credit"):
        await go(make_run)
    assert await rows(database, PostmortemBatch) == []
    assert await rows(database, PostmortemCall) == []
    await go(make_run)
    assert len(await rows(database, Postmortem)) == INCIDENTS


async def test_an_api_that_stays_overloaded_is_left_alone(
    make_run: MakeRun, messages_api: MessagesApi, database: Database, told: Told
) -> None:
    """After three batches that never arrived the run ends with the reason; none of them was an attempt."""
    messages_api.batches.fail(Endpoint.CREATE, *[Fail(status=529)] * 4)
    with pytest.raises(BatchUnavailable, match=r"overloaded \(529\)"):
        await go(make_run, Selection(incidents=["inc_1"]))
    assert len([each for each in messages_api.journal.requests if each.method == "POST"]) == 3
    assert await rows(database, PostmortemBatch) == []
    assert {call.attempts for call in await rows(database, PostmortemCall)} <= {0}
    await go(make_run, Selection(incidents=["inc_1"]))
    assert told.of("Written", "incident") == ["inc_1"]


async def test_an_api_that_stays_away_is_not_waited_for_for_ever(
    make_run: MakeRun, messages_api: MessagesApi, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ends with the reason; the batch is collected by the next one."""
    monkeypatch.setattr(batches, "_MAX_TROUBLE", 3)
    messages_api.batches.fail(Endpoint.RETRIEVE, *[Fail(status=500)] * 3)
    with pytest.raises(BatchUnavailable, match="the API failed"):
        await go(make_run)
    await go(make_run)
    assert len(messages_api.batches.submitted) == len(await rows(database, Postmortem)) == INCIDENTS


async def test_a_batch_that_this_key_does_not_see_is_kept(
    make_run: MakeRun, messages_api: MessagesApi, database: Database, told: Told
) -> None:
    """With another workspace's key nothing is paid again; only once its results are gone is it given up."""
    messages_api.batches.polls = float("inf")
    async with make_run() as run:
        working = asyncio.create_task(run.run(EVERYTHING, concurrency=2))
        await told.until("Waiting")
        assert await run.left() == (1, INCIDENTS)
        working.cancel()
        await asyncio.wait([working])
    messages_api.batches.known.clear()
    with pytest.raises(BatchUnavailable, match="use a key of the workspace that it was submitted with"):
        await go(make_run)
    assert messages_api.batches.known == {}
    long_ago = datetime.now(UTC) - timedelta(days=30)
    async with database.write() as session:
        await session.execute(update(PostmortemBatch).values(created_at=long_ago))
    await go(make_run)
    assert sorted(told.of("NotWritten", "incident")) == ALL
    messages_api.batches.polls = 0
    await go(make_run)
    assert len(await rows(database, Postmortem)) == INCIDENTS
    assert all(batch.ended_at for batch in await rows(database, PostmortemBatch))


async def test_replies_that_nobody_collected_in_time_are_told_as_lost(
    make_run: MakeRun, messages_api: MessagesApi, database: Database, told: Told
) -> None:
    """After 29 days the API has the batch and no results: its incidents are free again."""
    messages_api.batches.polls = float("inf")
    async with make_run() as run:
        working = asyncio.create_task(run.run(Selection(incidents=["inc_1"]), concurrency=1))
        await told.until("Waiting")
        working.cancel()
        await asyncio.wait([working])
    messages_api.batches.polls = 0
    (batch,) = messages_api.batches.known.values()
    batch.created_at -= timedelta(days=30)
    await go(make_run, Selection(incidents=["inc_2"]))
    assert told.of("NotWritten", "incident") == ["inc_1"]
    assert "keeps the results of batch" in told.of("NotWritten", "reason")[0]
    assert told.of("Written", "incident") == ["inc_2"]
    await go(make_run, Selection(incidents=["inc_1"]))
    assert told.of("Written", "incident") == ["inc_2", "inc_1"]


async def test_a_submission_is_seen_through_when_the_run_is_stopped(
    make_run: MakeRun, messages_api: MessagesApi, database: Database, told: Told
) -> None:
    """Stopped before the API has answered, the run stores the answer, and says that it waits for it."""
    messages_api.batches.fail(Endpoint.CREATE, Hang(seconds=0.5))
    async with make_run() as run:
        working = asyncio.create_task(run.run(Selection(incidents=["inc_1"]), concurrency=1))
        await messages_api.until(lambda journal: bool(journal.requests))
        working.cancel()
        await asyncio.wait([working])
        assert working.cancelled()
    assert "stops when the API has answered" in told.of("Note", "message")[0]
    (batch,) = await rows(database, PostmortemBatch)
    assert [batch.api_id] == list(messages_api.batches.known)


async def test_what_changed_meanwhile_is_kept_as_people_left_it(
    make_run: MakeRun, messages_api: MessagesApi, database: Database, told: Told
) -> None:
    """An incident that was forgotten while its batch was under way gets no document; the answer is logged."""
    messages_api.batches.seconds = 0.3
    async with make_run() as run:
        working = asyncio.create_task(run.run(Selection(incidents=["inc_1", "inc_2"]), concurrency=2))
        await told.until("Submitted")
        async with database.write() as session:
            gone = update(Incident).where(Incident.public_id == "inc_1")
            await session.execute(gone.values(forgotten_at=datetime.now(UTC)))
        await working
    assert told.of("Written", "incident") == ["inc_2"]
    assert told.of("NotWritten", "incident") == ["inc_1"]
    assert len(await rows(database, Question)) == 2
    assert await rows(database, PostmortemCall) == []


async def test_the_pace_slows_down(make_run: MakeRun, messages_api: MessagesApi, told: Told) -> None:
    """Each look comes later than the one before, up to a limit, and the user is told when."""
    messages_api.batches.polls = 6
    await go(make_run)
    waits = told.of("Waiting", "next_look_s")
    assert waits == sorted(waits)
    assert waits[0] == PACE.first_s
    assert waits[-1] == PACE.most_s
    assert set(told.of("Waiting", "waiting")) == {INCIDENTS}
