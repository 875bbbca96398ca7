"""Runs through the Batches API that faults, refusals or a stop interrupt, and the runs that resume them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from context_builder.llm.batch_model import BatchUnavailable
from context_builder.postmortems.batches import run as batch_run_module
from context_builder.postmortems.batches.journal import BatchJournal
from context_builder.postmortems.candidates import Selection
from context_builder.postmortems.journal import CallJournal
from models import Postmortem, PostmortemBatch, PostmortemCall
from models.database import Database
from tests.loopback.batch_behaviour import Endpoint, Lost
from tests.loopback.behaviour import Cut, Fail, Hang
from tests.loopback.messages_api import MessagesApi
from tests.support.batch_runs import ALL, EVERYTHING, INCIDENTS, Events, MakeRun, go, interrupted, rows


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
