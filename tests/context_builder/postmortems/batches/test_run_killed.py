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

from context_builder.postmortems.batches.journal import BatchJournal
from context_builder.postmortems.journal import CallJournal
from models import Incident, Postmortem, PostmortemBatch, PostmortemCall, Question
from models.database import Database
from tests.loopback.batch_behaviour import Endpoint
from tests.loopback.behaviour import Hang, Reply
from tests.loopback.messages_api import MessagesApi
from tests.support import batch_process
from tests.support.batch_process import ended
from tests.support.thinning import thinned

INCIDENTS = 3
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
STEPS = [
    "CallJournal.claim after 2",
    "CallJournal.built after 2",
    "BatchJournal.submitted after 1",
    "ClaudeBatches.status after 1",
    "CallJournal.replied before 1",
    "CallJournal.replied after 2",
    "PostmortemWriter.finish before 1",
    "PostmortemWriter.finish after 2",
    "BatchJournal.end before 1",
]

INTERRUPTED = ["BatchJournal.begin after 1", "ClaudeBatches.submit before 1", "ClaudeBatches.submit after 1"]
"""Steps after which nobody knows whether the API has the batch."""

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


@pytest.mark.parametrize("step", thinned(STEPS, keep_every=3))
async def test_a_run_that_is_killed_at_any_step_is_continued(
    filled: Database, messages_api: MessagesApi, start: Start, step: str
) -> None:
    """After SIGKILL the next run collects what was submitted, and submits what was not."""
    assert await finished(start(step)) == -signal.SIGKILL
    assert await finished(start()) == 0
    await assert_everything_was_paid_for_once(filled, messages_api)


@pytest.mark.both_databases
@pytest.mark.parametrize("step", thinned(INTERRUPTED, keep_every=2))
async def test_a_run_that_is_killed_while_it_submits_is_never_repeated_silently(
    filled: Database, messages_api: MessagesApi, start: Start, tmp_path: Path, step: str
) -> None:
    """No run submits it again; adopted or discarded by a person, everything is paid for once."""
    assert await finished(start(step)) == -signal.SIGKILL
    submitted = list(messages_api.batches.submitted)
    journal = BatchJournal(filled, CallJournal(filled))
    for _ in range(2):
        assert await finished(start()) == 1, "a person has to decide"
        assert messages_api.batches.submitted == submitted
    (batch,) = await journal.open()
    assert batch.is_interrupted
    if submitted:
        await journal.adopt(batch.id, next(iter(messages_api.batches.known)), prompts=INCIDENTS)
    else:
        assert len(await journal.discard_interrupted(batch.id)) == INCIDENTS
    assert await finished(start()) == 0
    await assert_everything_was_paid_for_once(filled, messages_api)


@pytest.mark.both_databases
async def test_two_runs_at_once_share_the_work(
    filled: Database, messages_api: MessagesApi, start: Start
) -> None:
    """What one submits the other neither repeats nor takes for interrupted."""
    messages_api.batches.polls = 3
    messages_api.batches.fail(Endpoint.CREATE, Hang(seconds=1))
    one, two = start(), start()
    assert [await finished(each) for each in (one, two)] == [0, 0]
    batches = len(messages_api.batches.known)
    await assert_everything_was_paid_for_once(filled, messages_api, batches)
