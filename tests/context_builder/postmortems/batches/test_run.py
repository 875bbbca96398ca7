"""Runs through the Batches API: what is submitted, what comes back, what it may cost, what goes wrong."""

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
from sqlalchemy.exc import OperationalError

from context_builder.llm import claude_batches
from context_builder.llm.batch_model import BatchUnavailable
from context_builder.llm.spend import SpendTracker
from context_builder.postmortems.batches import run as batch_run_module
from context_builder.postmortems.batches.journal import BatchJournal
from context_builder.postmortems.batches.progress import Progress
from context_builder.postmortems.batches.run import BatchRun
from context_builder.postmortems.candidates import Selection
from context_builder.postmortems.journal import CallJournal
from models import Incident, Postmortem, PostmortemBatch, PostmortemCall, Question
from models.database import Database
from tests.loopback.batch_behaviour import Canceled, Endpoint, Errored, Expired, Lost
from tests.loopback.behaviour import Cut, Fail, Hang, Reply
from tests.loopback.messages_api import MessagesApi
from tests.support.batch_process import INTERVALS, PRICES, batch_run, document

INCIDENTS = 5
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
EVERYTHING = Selection()
ALL = [f"inc_{number}" for number in range(1, INCIDENTS + 1)]
MIN_COST = PRICES.worst_case("claude-sonnet-5-5", 0, 500) * PRICES.batch_share
"""The smallest worst case of a call."""

MakeRun = Callable[..., AbstractAsyncContextManager[BatchRun]]


class Events(list[dict[str, Any]]):
    """The progress events of a run."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = asyncio.Condition()

    async def report(self, event: Progress) -> None:
        async with self._changed:
            self.append(document(event))
            self._changed.notify_all()

    def of(self, kind: str, field: str) -> list[Any]:
        return [each[field] for each in self if each["event"] == kind]

    async def until(self, kind: str) -> None:
        """Return once an event of a kind was reported."""
        async with asyncio.timeout(60), self._changed:
            await self._changed.wait_for(lambda: any(each["event"] == kind for each in self))


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
async def make_run(database: Database, messages_api: MessagesApi, events: Events) -> MakeRun:
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
        return batch_run(database, messages_api.url, events.report, **options)

    return make


async def rows(database: Database, table: type[Any]) -> list[Any]:
    async with database.read() as session:
        return list(await session.scalars(select(table).order_by(table.id)))


async def interrupted(make_run: MakeRun, events: Events, selection: Selection) -> None:
    """Stop a run while it waits for its batch."""
    async with make_run() as run:
        running = asyncio.create_task(run.run(selection, concurrency=1))
        await events.until("WaitingForBatches")
        assert (await run.left())[0] == 1
        running.cancel()
        await asyncio.wait([running])


async def go(make_run: MakeRun, selection: Selection = EVERYTHING, **options: Any) -> None:
    async with make_run(**options) as run:
        await run.run(selection, concurrency=1)


async def test_a_batch_costs_half(
    make_run: MakeRun, messages_api: MessagesApi, database: Database, events: Events
) -> None:
    """Documents, question log and the run's sum bear the batch price, which is below the worst case."""
    spend = SpendTracker()
    await go(make_run, spend=spend)
    (batch,) = messages_api.batches.known.values()
    price = PRICES.models["claude-sonnet-5-5"]
    usages = [json.loads(line)["result"]["message"]["usage"] for line in batch.lines]
    full = sum(use["input_tokens"] * price.input + use["output_tokens"] * price.output for use in usages)
    half = full / 2_000_000
    assert len(usages) == INCIDENTS
    assert spend.spent == half < events.of("BatchSubmitted", "worst_cost_usd")[0]
    assert spend.reserved == 0
    assert sum(Decimal(cost) for cost in events.of("PostmortemWritten", "cost")) == half
    assert sum(question.cost_usd for question in await rows(database, Question)) == half


async def test_a_second_run_has_nothing_to_do(
    make_run: MakeRun, messages_api: MessagesApi, events: Events
) -> None:
    """What is written is neither submitted nor polled again."""
    await go(make_run)
    asked = len(messages_api.journal.requests)
    events.clear()
    await go(make_run)
    assert (len(messages_api.journal.requests), events) == (asked, [])


async def test_what_got_no_reply_is_reported_and_released(
    make_run: MakeRun, messages_api: MessagesApi, database: Database, events: Events
) -> None:
    """It is not retried in the same run, and after three batches only by name."""
    failures = (Errored(message="no"), Canceled(), Expired(), Reply(text="half", stop_reason="max_tokens"))
    messages_api.batches.outcomes(*failures)
    await go(make_run)
    assert events.of("PostmortemWritten", "incident") == ["inc_1"]
    reasons = dict(zip(events.of("NotWritten", "incident"), events.of("NotWritten", "reason"), strict=True))
    assert set(reasons) == {"inc_2", "inc_3", "inc_4", "inc_5"}
    assert reasons["inc_5"] == "the API failed on it (api_error): no"
    assert "canceled" in reasons["inc_4"]
    assert "expired" in reasons["inc_3"]
    assert "ran out of output tokens" in reasons["inc_2"]
    assert len(messages_api.batches.submitted) == INCIDENTS
    assert [call.attempts for call in await rows(database, PostmortemCall)] == [1, 1, 1]
    assert len(await rows(database, Question)) == 2, "what was paid for is logged"

    messages_api.batches.always(Errored())
    for _ in range(2):
        await go(make_run, Selection(incidents=["inc_5"]))
    events.clear()
    submitted = len(messages_api.batches.submitted)
    await go(make_run, Selection(since=NOON - timedelta(hours=5)))
    reasons = dict(zip(events.of("NotWritten", "incident"), events.of("NotWritten", "reason"), strict=True))
    assert reasons["inc_5"] == "3 batches brought no reply; --incident inc_5 tries it again"
    assert len(messages_api.batches.submitted) == submitted + 3
    messages_api.batches.always(Reply(text="## Summary\n\nAt last."))
    await go(make_run, Selection(incidents=["inc_5"]))
    assert events.of("PostmortemWritten", "incident") == ["inc_5"]


async def test_a_cap_counts_what_is_in_progress(
    make_run: MakeRun, messages_api: MessagesApi, database: Database, events: Events
) -> None:
    """Worst cases of earlier runs' batches count too, at every moment; what does not fit is left."""
    messages_api.batches.polls = float("inf")
    await interrupted(make_run, events, Selection(incidents=["inc_4", "inc_5"]))
    (worst,) = events.of("BatchSubmitted", "worst_cost_usd")
    (batch,) = messages_api.batches.known.values()
    batch.polls, messages_api.batches.polls = 0, 2
    cap = worst * Decimal("1.6")
    spend = SpendTracker(cap)
    highest = Decimal(0)

    async def watch() -> None:
        nonlocal highest
        while True:
            highest = max(highest, spend.spent + spend.reserved)
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    async with make_run(spend=spend) as run:
        await run.run(EVERYTHING, concurrency=3)
        assert len(run.capped) == 2
    watching.cancel()
    assert worst < highest <= cap
    assert len(events.of("PostmortemWritten", "incident")) == len(messages_api.batches.submitted) == 3
    await go(make_run)
    assert sorted(events.of("PostmortemWritten", "incident")) == ALL


async def test_without_room_nothing_is_submitted(
    make_run: MakeRun, messages_api: MessagesApi, database: Database
) -> None:
    """A cap below the cheapest call leaves everything, and nothing claimed."""
    for cap in (Decimal(0), MIN_COST):
        async with make_run(spend=SpendTracker(cap)) as run:
            await run.run(EVERYTHING, concurrency=2)
            assert len(run.capped) == INCIDENTS
    assert messages_api.journal.requests == []
    assert await rows(database, PostmortemCall) == []


@pytest.mark.parametrize("limit", [("MAX_REQUESTS", 2), ("MAX_BYTES", 5_000)])
async def test_too_many_prompts_are_several_batches(
    make_run: MakeRun,
    messages_api: MessagesApi,
    events: Events,
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
    assert len(events.of("PostmortemWritten", "incident")) == INCIDENTS


async def test_a_prompt_too_large_for_any_batch_costs_one_incident(
    make_run: MakeRun, messages_api: MessagesApi, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is reported and released."""
    monkeypatch.setattr(claude_batches, "MAX_BYTES", 100)
    await go(make_run, Selection(incidents=["inc_1"]))
    assert "is too large for a batch" in events.of("NotWritten", "reason")[0]
    assert messages_api.journal.requests == []


@pytest.mark.parametrize(
    "faults",
    [
        {Endpoint.RETRIEVE: [Fail(status=500), Fail(status=429), Lost()]},
        {Endpoint.RESULTS: [Cut(after_pieces=2), Cut(after_pieces=3, clean=True), Fail(status=529)]},
    ],
)
async def test_passing_faults_cost_nothing(
    make_run: MakeRun,
    messages_api: MessagesApi,
    database: Database,
    events: Events,
    faults: dict[Endpoint, list[Any]],
) -> None:
    """Whatever fails for a while: in the end each incident was paid for once, in the same run."""
    for endpoint, some in faults.items():
        messages_api.batches.fail(endpoint, *some)
    await go(make_run)
    assert len(messages_api.batches.submitted) == len(await rows(database, Postmortem)) == INCIDENTS
    assert await rows(database, PostmortemCall) == []
    assert all(batch.ended_at and batch.api_id for batch in await rows(database, PostmortemBatch))
    assert events.of("Notice", "message")


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


@pytest.mark.parametrize("fault", [Lost(), Fail(status=529)])
async def test_an_uncertain_submission_waits_for_a_person(
    make_run: MakeRun, messages_api: MessagesApi, database: Database, events: Events, fault: Lost | Fail
) -> None:
    """No run repeats it; once adopted it is collected, once discarded it is submitted again."""
    messages_api.batches.fail(Endpoint.CREATE, fault)
    for _ in range(2):
        with pytest.raises(BatchUnavailable, match="`arcpoint postmortem batches 1 --adopt ID`"):
            await go(make_run)
    assert len([each for each in messages_api.journal.requests if each.method == "POST"]) == 1
    assert "the API may or may not have accepted a batch of 5 prompts" in events.of("Notice", "message")[0]
    journal = BatchJournal(database, CallJournal(database))
    if isinstance(fault, Lost):
        (api_id,) = messages_api.batches.known
        await journal.adopt(1, api_id, prompts=INCIDENTS)
    else:
        await journal.discard_interrupted(1)
    await go(make_run)
    assert len(messages_api.batches.submitted) == len(await rows(database, Postmortem)) == INCIDENTS
    assert await rows(database, PostmortemCall) == []


async def test_an_id_that_cannot_be_stored_is_reported(
    make_run: MakeRun,
    messages_api: MessagesApi,
    database: Database,
    events: Events,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If the database fails right after the API's answer, the command that stores the id is printed."""

    async def submitted(*_: object) -> None:
        raise OperationalError("UPDATE", {}, Exception("the disk is full"))

    with monkeypatch.context() as patch, pytest.raises(OperationalError):
        patch.setattr(BatchJournal, "submitted", submitted)
        await go(make_run)
    (api_id,) = messages_api.batches.known
    assert f"arcpoint postmortem batches 1 --adopt {api_id}" in events.of("Notice", "message")[0]


async def test_a_batch_adopted_by_mistake_costs_nothing(
    make_run: MakeRun, messages_api: MessagesApi, database: Database, events: Events
) -> None:
    """Its results bear other ids: nothing is released, the batch is interrupted again and the run says so."""
    messages_api.batches.fail(Endpoint.CREATE, Lost())
    with pytest.raises(BatchUnavailable):
        await go(make_run, Selection(incidents=["inc_1"]))
    ours = next(iter(messages_api.batches.known))
    stranger = messages_api.batches.create({"requests": [{"custom_id": "x", "params": {}}]}).id
    journal = BatchJournal(database, CallJournal(database))
    await journal.adopt(1, stranger, prompts=1)
    with pytest.raises(BatchUnavailable, match="batches 1 --adopt ID"):
        await go(make_run, Selection(incidents=["inc_1"]))
    assert f"the results of {stranger} belong to another batch than batch 1 here" in str(events)
    await journal.adopt(1, ours, prompts=1)
    await go(make_run, Selection(incidents=["inc_1"]))
    assert events.of("PostmortemWritten", "incident") == ["inc_1"]
    assert len(messages_api.batches.known) == 2


async def test_an_api_that_stays_away_is_not_waited_for_for_ever(
    make_run: MakeRun, messages_api: MessagesApi, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ends with the reason; the batch is collected by the next one."""
    monkeypatch.setattr(batch_run_module, "_MAX_FAILURES", 3)
    messages_api.batches.fail(Endpoint.RETRIEVE, *[Fail(status=500)] * 3)
    with pytest.raises(BatchUnavailable, match="the API failed"):
        await go(make_run)
    await go(make_run)
    assert len(messages_api.batches.submitted) == len(await rows(database, Postmortem)) == INCIDENTS


async def test_a_batch_that_this_key_does_not_see_is_kept(
    make_run: MakeRun, messages_api: MessagesApi, database: Database, events: Events
) -> None:
    """With another workspace's key nothing is paid again; only once its results are gone is it given up."""
    messages_api.batches.polls = float("inf")
    await interrupted(make_run, events, EVERYTHING)
    messages_api.batches.known.clear()
    with pytest.raises(BatchUnavailable, match="use a key of the workspace it was submitted with"):
        await go(make_run)
    assert messages_api.batches.known == {}
    long_ago = datetime.now(UTC) - timedelta(days=30)
    async with database.write() as session:
        await session.execute(update(PostmortemBatch).values(created_at=long_ago))
    await go(make_run)
    assert sorted(events.of("NotWritten", "incident")) == ALL
    messages_api.batches.polls = 0
    await go(make_run)
    assert len(await rows(database, Postmortem)) == INCIDENTS
    assert all(batch.ended_at for batch in await rows(database, PostmortemBatch))


async def test_replies_that_nobody_collected_in_time_are_reported_as_lost(
    make_run: MakeRun, messages_api: MessagesApi, database: Database, events: Events
) -> None:
    """After 29 days the API has the batch and no results: its incidents are free again."""
    messages_api.batches.polls = float("inf")
    await interrupted(make_run, events, Selection(incidents=["inc_1"]))
    messages_api.batches.polls = 0
    (batch,) = messages_api.batches.known.values()
    batch.created_at -= timedelta(days=30)
    await go(make_run, Selection(incidents=["inc_2"]))
    assert events.of("NotWritten", "incident") == ["inc_1"]
    assert "no longer keeps the results of batch" in events.of("NotWritten", "reason")[0]
    assert events.of("PostmortemWritten", "incident") == ["inc_2"]
    await go(make_run, Selection(incidents=["inc_1"]))
    assert events.of("PostmortemWritten", "incident") == ["inc_2", "inc_1"]


async def test_a_submission_is_seen_through_when_the_run_is_stopped(
    make_run: MakeRun, messages_api: MessagesApi, database: Database, events: Events
) -> None:
    """Stopped before the API has answered, the run stores the answer, and says that it waits for it."""
    messages_api.batches.fail(Endpoint.CREATE, Hang(seconds=0.5))
    async with make_run() as run:
        working = asyncio.create_task(run.run(Selection(incidents=["inc_1"]), concurrency=1))
        await messages_api.until(lambda journal: bool(journal.requests))
        working.cancel()
        await asyncio.wait([working])
        assert working.cancelled()
    assert "waiting for the API's answer to the submission" in events.of("Notice", "message")[0]
    (batch,) = await rows(database, PostmortemBatch)
    assert [batch.api_id] == list(messages_api.batches.known)


async def test_what_changed_meanwhile_is_kept_as_people_left_it(
    make_run: MakeRun, messages_api: MessagesApi, database: Database, events: Events
) -> None:
    """An incident forgotten while its batch is in progress gets no document; the answer is logged."""
    messages_api.batches.seconds = 0.3
    async with make_run() as run:
        working = asyncio.create_task(run.run(Selection(incidents=["inc_1", "inc_2"]), concurrency=2))
        await events.until("BatchSubmitted")
        async with database.write() as session:
            gone = update(Incident).where(Incident.public_id == "inc_1")
            await session.execute(gone.values(forgotten_at=datetime.now(UTC)))
        await working
    assert events.of("PostmortemWritten", "incident") == ["inc_2"]
    assert events.of("NotWritten", "incident") == ["inc_1"]
    assert len(await rows(database, Question)) == 2
    assert await rows(database, PostmortemCall) == []


async def test_polling_slows_down(make_run: MakeRun, messages_api: MessagesApi, events: Events) -> None:
    """Each interval is longer than the one before, up to a limit, and reported."""
    messages_api.batches.polls = 6
    await go(make_run)
    waits = events.of("WaitingForBatches", "next_poll_s")
    assert waits == sorted(waits)
    assert waits[0] == INTERVALS.first_s
    assert waits[-1] == INTERVALS.max_s
    assert set(events.of("WaitingForBatches", "prompts")) == {INCIDENTS}
