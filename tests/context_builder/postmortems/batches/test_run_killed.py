"""A run with batches that is killed, at every step: nothing that is paid for is lost or paid for again."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from loopback.batch_behaviour import Endpoint, Lost
from loopback.behaviour import Hang, Reply
from loopback.messages_api import MessagesApi
from models import Incident, Postmortem, PostmortemBatch, PostmortemCall, Question
from models.database import Database
from support import batch_process
from support.batch_process import ended, told, wait_until

INCIDENTS = 3
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
STEPS = [
    "CallJournal.claim after 2",
    "CallJournal.built after 2",
    "BatchJournal.begin after 1",
    "ClaudeBatches.submit before 1",
    "ClaudeBatches.submit after 1",
    "BatchJournal.accepted after 1",
    "ClaudeBatches.status after 1",
    "CallJournal.replied before 1",
    "CallJournal.replied after 2",
    "PostmortemWriter.finish before 1",
    "PostmortemWriter.finish after 2",
    "BatchJournal.close before 1",
]

STRANGER = {"requests": [{"custom_id": f"x{number}", "params": {}} for number in range(INCIDENTS)]}
"""Another program's batch in the same workspace."""

Start = Callable[..., BaseProcess]


@pytest.fixture
async def filled(database: Database) -> Database:
    """A few resolved incidents that have no postmortem."""
    async with database.write() as session:
        for number in range(1, INCIDENTS + 1):
            session.add(
                Incident(
                    public_id=f"inc_{number}", title=f"Outage {number}", severity="high", status="resolved",
                    started_at=NOON - timedelta(hours=number + 1), resolved_at=NOON - timedelta(hours=number),
                )
            )  # fmt: skip
    return database


@pytest.fixture
def start(filled: Database, messages_api: MessagesApi, tmp_path: Path) -> Iterator[Start]:
    """Starts a run over these incidents."""
    url = filled.url.render_as_string(hide_password=False)
    runs = iter(range(9))
    messages_api.batches.always(Reply(text="## Summary\n\nIt was bad."))

    processes: list[BaseProcess] = []

    def started(kill_at: str | None = None) -> BaseProcess:
        events = tmp_path / f"events{next(runs)}"
        processes.append(batch_process.started(url, messages_api.url, events, kill_at))
        return processes[-1]

    yield started
    for process in processes:
        process.kill()
        process.join()


async def finished(process: BaseProcess) -> int:
    return await asyncio.to_thread(ended, process)


def notes(events: Path) -> list[str]:
    return [each["message"] for each in told(events) if each["event"] == "Note"]


async def rows(database: Database, table: type[Any]) -> int:
    async with database.read() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def assert_everything_was_paid_for_once(database: Database, api: MessagesApi, batches: int = 1) -> None:
    """One prompt and one document for each incident, and nothing that is still open."""
    assert len(api.batches.submitted) == INCIDENTS
    assert len(api.batches.known) == batches
    assert await rows(database, Postmortem) == await rows(database, Question) == INCIDENTS
    assert await rows(database, PostmortemCall) == 0
    async with database.read() as session:
        kept = list(await session.scalars(select(PostmortemBatch)))
        written = list(await session.scalars(select(Postmortem)))
    assert {batch.api_id for batch in kept} == set(api.batches.known)
    assert all(batch.ended_at for batch in kept)
    assert all(text.cost_usd > 0 and "It was bad." in text.markdown for text in written)


@pytest.mark.parametrize(
    ("database_url", "step"),
    [("sqlite", step) for step in STEPS] + [("postgresql", step) for step in STEPS[2::3]],
    indirect=["database_url"],
)
async def test_a_run_that_is_killed_at_any_step_is_continued(
    filled: Database, messages_api: MessagesApi, start: Start, step: str
) -> None:
    """After SIGKILL the next run collects what was handed over, and hands over what was not."""
    assert await finished(start(step)) == -signal.SIGKILL
    assert await finished(start()) == 0
    await assert_everything_was_paid_for_once(filled, messages_api)


async def test_a_batch_that_was_taken_before_the_kill_is_adopted(
    filled: Database, messages_api: MessagesApi, start: Start, tmp_path: Path
) -> None:
    """Killed while the answer was under way: the API lists it, and its results tell whose it is."""
    messages_api.batches.fail(Endpoint.CREATE, Lost(delay_s=60))
    process = start()
    await asyncio.to_thread(wait_until, lambda: messages_api.batches.known)
    process.kill()
    await finished(process)
    (ours,) = messages_api.batches.known
    stranger = messages_api.batches.create(STRANGER).id
    assert await finished(start()) == 0
    assert f"the API has the batch of 3 prompts that was cut off: {ours}" in notes(tmp_path / "events1")
    del messages_api.batches.known[stranger]
    await assert_everything_was_paid_for_once(filled, messages_api)


async def test_a_batch_that_may_be_ours_is_waited_for(
    filled: Database, messages_api: MessagesApi, start: Start, tmp_path: Path
) -> None:
    """One that is still in progress has no results to tell by: nothing is repeated until it ends."""
    messages_api.batches.fail(Endpoint.CREATE, Hang(seconds=60))
    process = start()
    await messages_api.until(lambda journal: any(each.method == "POST" for each in journal.requests), 20)
    process.kill()
    await finished(process)
    stranger = messages_api.batches.create(STRANGER).id
    messages_api.batches.polls = float("inf")
    process, events = start(), tmp_path / "events1"
    await asyncio.to_thread(wait_until, lambda: len(notes(events)) == 2)
    assert "it is not repeated before it is clear whether the API has it" in notes(events)[0]
    assert notes(events)[1] == f"waiting for the end of {stranger}, which may be it"
    await asyncio.sleep(2 * batch_process.PACE.settle_s)
    assert len(messages_api.batches.known) == 1
    messages_api.batches.polls = 0
    assert await finished(process) == 0
    del messages_api.batches.known[stranger]
    await assert_everything_was_paid_for_once(filled, messages_api)


async def test_a_batch_that_the_api_never_got_is_handed_over_again(
    filled: Database, messages_api: MessagesApi, start: Start, tmp_path: Path
) -> None:
    """Killed before the API had it: after a while another batch takes its prompts."""
    messages_api.batches.fail(Endpoint.CREATE, Hang(seconds=60))
    process = start()
    await messages_api.until(lambda journal: any(each.method == "POST" for each in journal.requests), 20)
    process.kill()
    await finished(process)
    assert await finished(start()) == 0
    await assert_everything_was_paid_for_once(filled, messages_api)
    assert any(
        "the API never got the batch" in each.get("message", "") for each in told(tmp_path / "events1")
    )


async def test_two_runs_at_once_share_the_work(
    filled: Database, messages_api: MessagesApi, start: Start
) -> None:
    """What one hands over the other neither repeats nor takes for cut off."""
    messages_api.batches.polls = 3
    messages_api.batches.fail(Endpoint.CREATE, Hang(seconds=1))
    one, two = start(), start()
    assert [await finished(each) for each in (one, two)] == [0, 0]
    batches = len(messages_api.batches.known)
    await assert_everything_was_paid_for_once(filled, messages_api, batches)
