"""`arcpoint postmortem --batch-api`: a run through the Message Batches API, and its progress messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from api.cli.postmortem.run import IncidentOutcome, OutcomeKind, PostmortemRun, RunOptions
from api.cli.terminal.streams import print_error
from api.services import MEMORY_START_S, Services, make_batch_model
from context_builder.llm.batch_model import BatchModel, BatchUnavailable
from context_builder.postmortems.batches.context import BatchContext
from context_builder.postmortems.batches.journal import BatchJournal
from context_builder.postmortems.batches.progress import (
    BatchSubmitted,
    Notice,
    NotWritten,
    PostmortemWritten,
    Progress,
    WaitingForBatches,
)
from context_builder.postmortems.batches.run import BatchRun, PollIntervals
from context_builder.text.formatting import format_count, format_dollars, format_duration

POLL_INTERVALS = PollIntervals()
COLLECT = "the same command collects the results later"


@dataclass(slots=True)
class BatchApiRunner:
    """One run, which reports its outcomes through a PostmortemRun."""

    services: Services
    postmortem_run: PostmortemRun
    options: RunOptions
    describe: Callable[[str], None]
    """Shows beside the progress bar what the run waits for."""
    submitted: list[BatchSubmitted] = field(default_factory=list)
    open_batches: int = 0
    """Number of open batches at the end."""
    waiting: int = 0
    """Number of their prompts without a result."""
    problem: str | None = None
    """What went wrong at the API; None: nothing."""
    _shown: tuple[int, int] | None = None

    async def write(self, *, concurrency: int) -> None:
        """Submit and collect; Ctrl-C leaves what has been submitted to the next run."""
        await self.postmortem_run.begin()
        if self.postmortem_run.tally.left:
            await self.services.memory.started(at_most_s=MEMORY_START_S)
        async with batch_model(self.services) as model:
            context = BatchContext(
                model=model,
                writer=self.services.postmortems,
                journal=BatchJournal(self.services.database, self.services.postmortems.journal),
                prices=self.services.prices,
                ledger=self.services.ledger,
                payer=self.options.payer,
                report=self._report,
                template=self.options.template,
            )
            await self._run(BatchRun(context, POLL_INTERVALS), concurrency)

    async def _run(self, run: BatchRun, concurrency: int) -> None:
        selection, leave_alone = self.options.selection, self.postmortem_run.leave_alone
        try:
            await run.run(selection, concurrency=concurrency, leave_alone=leave_alone)
        except BatchUnavailable as error:
            self.problem = error.reason
        finally:
            self.open_batches, self.waiting = await run.left()
        for incident in sorted(run.capped):
            outcome = IncidentOutcome(incident=incident, kind=OutcomeKind.UNAFFORDABLE)
            await self.postmortem_run.record(outcome)

    async def _report(self, event: Progress) -> None:
        match event:
            case PostmortemWritten(text=text):
                await self.postmortem_run.save(text)
            case NotWritten(incident=incident, reason=reason, is_failure=is_failure):
                kind = OutcomeKind.FAILED if is_failure else OutcomeKind.ELSEWHERE
                await self.postmortem_run.record(IncidentOutcome(incident=incident, kind=kind, note=reason))
            case BatchSubmitted():
                self.submitted.append(event)
                prompts, most = format_count(event.prompts, "prompt"), format_dollars(event.worst_cost_usd)
                await _print_error(f"submitted {event.api_id}: {prompts}, at most {most}")
            case WaitingForBatches():
                await self._show_waiting(event)
            case Notice(message=message):
                await _print_error(message)

    async def _show_waiting(self, event: WaitingForBatches) -> None:
        """Print a line whenever the numbers change, and show the age beside the bar."""
        prompts = format_count(event.prompts, "prompt")
        self.describe(f"{prompts} at the API, {format_duration(event.oldest)}")
        if self._shown != (event.batches, event.prompts):
            self._shown = event.batches, event.prompts
            state = in_progress(event.batches, event.prompts)
            await _print_error(f"{state}; this may take up to a day and can be interrupted: {COLLECT}")

    def document(self) -> dict[str, Any]:
        """Return what the JSON output holds besides the outcomes."""
        return {
            "submitted": [
                {
                    "batch": each.api_id,
                    "prompts": each.prompts,
                    "worst_cost_usd": str(each.worst_cost_usd),
                }
                for each in self.submitted
            ],
            "waiting": self.waiting,
            "problem": self.problem,
        }

    async def conclude(self) -> None:
        """Print what went wrong, and what is still in progress."""
        if self.problem is not None:
            await _print_error(self.problem)
        if self.waiting:
            await _print_error(f"{in_progress(self.open_batches, self.waiting)}; {COLLECT}")


@asynccontextmanager
async def batch_model(services: Services) -> AsyncIterator[BatchModel]:
    """Open the connection to the Message Batches API."""
    model = await asyncio.to_thread(make_batch_model, services.settings, services.prices)
    try:
        yield model
    finally:
        await model.close()


def in_progress(batches: int, prompts: int) -> str:
    """Describe what has been submitted and has no result."""
    noun = "batch" if batches == 1 else "batches"
    return f"{format_count(prompts, 'prompt')} in {batches:,} {noun} in progress at the API"


async def _print_error(message: str) -> None:
    # In a thread: a paused reader must not hold up work that is paid for.
    await asyncio.to_thread(print_error, message)
