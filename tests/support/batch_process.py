"""A run through the Batches API as its own process, over a loopback API, that can be killed at any step."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from context_builder.answer.question_log import QuestionLog
from context_builder.answering import Answerer
from context_builder.builder import ContextBuilder
from context_builder.llm.claude import Claude
from context_builder.llm.claude_batches import ClaudeBatches
from context_builder.llm.claude_options import ClaudeOptions
from context_builder.postmortems.batches.context import BatchContext
from context_builder.postmortems.batches.journal import BatchJournal
from context_builder.postmortems.batches.progress import PostmortemWritten, Progress
from context_builder.postmortems.batches.run import BatchRun, PollIntervals
from context_builder.postmortems.candidates import Selection
from context_builder.postmortems.journal import CallJournal
from context_builder.postmortems.writer import ANYBODY, PostmortemWriter
from context_builder.spend.accounts import Payer
from context_builder.spend.ledger import SpendLedger
from models.database import Database
from tests.loopback.messages_api import API_KEY
from tests.support.forked import forked
from tests.support.no_memory import NO_MEMORY
from tests.support.paid import PRICES, paid, run_with
from tests.support.patient_sources import SOURCES

INTERVALS = PollIntervals(first_s=0.02, max_s=0.1)
OPTIONS = ClaudeOptions(
    api_key=API_KEY, model="claude-sonnet-5-5", max_output_tokens=500, deadline_s=5.0, max_retries=0
)

_SOURCES = [source for source in SOURCES if source.name == "incidents"]
_STEPS: dict[str, type[Any]] = {
    each.__name__: each for each in (BatchJournal, CallJournal, ClaudeBatches, PostmortemWriter)
}


@asynccontextmanager
async def batch_run(
    database: Database,
    url: str,
    report: Callable[[Progress], Awaitable[None]],
    *,
    payer: Payer = ANYBODY,
    deadline_s: float = 5.0,
) -> AsyncIterator[BatchRun]:
    """A run over a single source, which keeps building cheap."""
    options = replace(OPTIONS, base_url=url, deadline_s=deadline_s)
    single = await asyncio.to_thread(Claude, options)
    batches = await asyncio.to_thread(ClaudeBatches, options)
    questions = QuestionLog(database)
    builder = ContextBuilder(database, NO_MEMORY, _SOURCES, default_budget=2000)
    writer = PostmortemWriter(database, Answerer(builder, questions, paid(database, single)), questions)
    context = BatchContext(
        model=batches,
        writer=writer,
        journal=BatchJournal(database, writer.journal),
        prices=PRICES,
        ledger=SpendLedger(database),
        payer=payer,
        report=report,
    )
    try:
        yield BatchRun(context, INTERVALS)
    finally:
        await single.close()
        await batches.close()


def started(database_url: str, api_url: str, events: Path, kill_at: str | None = None) -> BaseProcess:
    """Starts a run that writes its events to a file.

    `kill_at` is such as `BatchJournal.begin after 1`: there the process kills itself, by SIGKILL.
    """
    return forked(_main, database_url, api_url, str(events), kill_at)


def ended(process: BaseProcess) -> int:
    """The exit code; for a killed process the negative number of the signal."""
    process.join(60)
    assert process.exitcode is not None, "it still runs"
    return process.exitcode


def events_of(events: Path) -> list[dict[str, Any]]:
    """The events of a run so far."""
    return [json.loads(line) for line in events.read_text("utf-8").splitlines()] if events.exists() else []


def wait_until(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Returns as soon as the condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def document(event: Progress) -> dict[str, Any]:
    """An event as JSON values."""
    if isinstance(event, PostmortemWritten):
        return {
            "event": "PostmortemWritten",
            "incident": event.text.incident,
            "cost": str(event.text.cost_usd),
        }
    return {"event": type(event).__name__} | asdict(event)


def _main(database_url: str, api_url: str, events: str, kill_at: str | None) -> None:
    if kill_at is not None:
        _kill_at(*kill_at.split())
    asyncio.run(_run(database_url, api_url, Path(events)))


async def _run(database_url: str, api_url: str, events: Path) -> None:
    async def report(event: Progress) -> None:
        with events.open("a", encoding="utf-8") as file:
            file.write(json.dumps(document(event), default=str) + "\n")

    database = Database(database_url)
    async with batch_run(database, api_url, report, payer=run_with("10")) as run:
        await run.run(Selection(), concurrency=2)
    await database.close()


def _kill_at(step: str, when: str, number: str) -> None:
    """Replace one step by one that kills its process before or after the given number of times."""
    owner, _, name = step.partition(".")
    original = getattr(_STEPS[owner], name)
    done = 0

    async def deadly(*arguments: Any, **options: Any) -> Any:
        nonlocal done
        done += 1
        if (when, str(done)) == ("before", number):
            os.kill(os.getpid(), signal.SIGKILL)
        result = await original(*arguments, **options)
        if (when, str(done)) == ("after", number):
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(_STEPS[owner], name, deadly)
