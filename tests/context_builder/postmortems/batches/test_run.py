"""Runs through the Batches API: what is submitted, what comes back and what it may cost."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import update

from context_builder.llm import claude_batches
from context_builder.postmortems.candidates import Selection
from models import Incident, PostmortemCall, Question
from models.database import Database
from tests.loopback.batch_behaviour import Canceled, Errored, Expired
from tests.loopback.behaviour import Reply
from tests.loopback.messages_api import MessagesApi
from tests.support.batch_process import INTERVALS
from tests.support.batch_runs import ALL, EVERYTHING, INCIDENTS, NOON, Events, MakeRun, go, interrupted, rows
from tests.support.paid import PRICES, run_with, spent_and_reserved

MIN_COST = PRICES.worst_case("claude-sonnet-5-5", 0, 500) * PRICES.batch_share
"""The smallest worst case of a call."""


async def test_a_batch_costs_half(
    make_run: MakeRun, messages_api: MessagesApi, database: Database, events: Events
) -> None:
    """Documents, question log and the run's sum bear the batch price, which is below the worst case."""
    await go(make_run)
    (batch,) = messages_api.batches.known.values()
    price = PRICES.models["claude-sonnet-5-5"]
    usages = [json.loads(line)["result"]["message"]["usage"] for line in batch.lines]
    full = sum(use["input_tokens"] * price.input + use["output_tokens"] * price.output for use in usages)
    half = full / 2_000_000
    assert len(usages) == INCIDENTS
    assert await spent_and_reserved(database) == (half, 0)
    assert half < events.of("BatchSubmitted", "worst_cost_usd")[0]
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
    assert await spent_and_reserved(database) == (0, worst), "held although no process works on it"
    # Polled once before anything is submitted, and then still in progress.
    batch.polls, messages_api.batches.polls = 1, 2
    async with make_run(payer=run_with(worst * Decimal("1.6"))) as run:
        await run.run(EVERYTHING, concurrency=3)
        assert len(run.capped) == 2
    assert sum(events.of("BatchSubmitted", "worst_cost_usd")) <= worst * Decimal("1.6")
    assert (await spent_and_reserved(database))[1] == 0
    assert len(events.of("PostmortemWritten", "incident")) == len(messages_api.batches.submitted) == 3
    await go(make_run)
    assert sorted(events.of("PostmortemWritten", "incident")) == ALL


async def test_without_room_nothing_is_submitted(
    make_run: MakeRun, messages_api: MessagesApi, database: Database
) -> None:
    """A cap below the cheapest call leaves everything, and nothing claimed."""
    for cap in (Decimal(0), MIN_COST):
        async with make_run(payer=run_with(cap)) as run:
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
