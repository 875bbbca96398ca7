"""`arcpoint postmortem --batch-api`: the run through the Message Batches API, and what it says meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from api.cli.postmortem.batch import Order, Outcome, PostmortemBatch, Result
from api.cli.terminal.streams import print_error
from api.services import MEMORY_START_S, Services, make_batch_model
from context_builder.llm.batch_model import BatchUnavailable
from context_builder.postmortems.batches.batches import BatchRun, Pace
from context_builder.postmortems.batches.events import Event, Note, NotWritten, Submitted, Waiting, Written
from context_builder.postmortems.batches.journal import BatchJournal
from context_builder.postmortems.batches.work import BatchWork
from context_builder.text.formatting import format_count, format_dollars, format_duration

PACE = Pace()
COLLECTS = "the same command collects them later"


@dataclass(slots=True)
class ThroughBatches:
    """One run, which tells its outcomes through a PostmortemBatch."""

    services: Services
    batch: PostmortemBatch
    order: Order
    describe: Callable[[str], None]
    """Says beside the bar what is waited for."""
    submitted: list[Submitted] = field(default_factory=list)
    open_batches: int = 0
    """At the end, with how many prompts wait for results."""
    waiting: int = 0
    problem: str | None = None
    """Why the API did not do what it was asked for; None: it did."""
    _said: tuple[int, int] | None = None

    async def write(self, *, concurrency: int) -> None:
        """Begins, hands over and collects; Ctrl-C leaves what is at the API to the next run."""
        await self.batch.begin()
        if self.batch.tally.left:
            await self.services.memory.started(at_most_s=MEMORY_START_S)
        prices = self.services.answerer.prices
        model = await asyncio.to_thread(make_batch_model, self.services.settings, prices)
        try:
            work = BatchWork(
                model=model,
                writer=self.services.postmortems,
                journal=BatchJournal(self.services.database, self.services.postmortems.journal),
                prices=prices,
                spending=self.order.spending,
                report=self._report,
                template=self.order.template,
            )
            await self._run(BatchRun(work, PACE), concurrency)
        finally:
            await model.close()

    async def _run(self, run: BatchRun, concurrency: int) -> None:
        try:
            await run.run(self.order.selection, concurrency=concurrency, left_alone=self.batch.left_alone)
        except BatchUnavailable as error:
            self.problem = error.reason
        finally:
            self.open_batches, self.waiting = await run.left()
        for incident in sorted(run.capped):
            await self.batch.tell(Outcome(incident=incident, result=Result.UNAFFORDABLE))

    async def _report(self, event: Event) -> None:
        match event:
            case Written(text=text):
                await self.batch.stored(text)
            case NotWritten(incident=incident, reason=reason, is_failure=is_failure):
                result = Result.FAILED if is_failure else Result.ELSEWHERE
                await self.batch.tell(Outcome(incident=incident, result=result, note=reason))
            case Submitted():
                self.submitted.append(event)
                prompts, most = format_count(event.prompts, "prompt"), format_dollars(event.worst_cost_usd)
                await _complain(f"{event.api_id} takes {prompts}, at most {most}")
            case Waiting():
                await self._wait(event)
            case Note(message=message):
                await _complain(message)

    async def _wait(self, event: Waiting) -> None:
        """A line whenever the numbers have changed, and the time beside the bar."""
        self.describe(f"{format_count(event.waiting, 'prompt')} at the API, {format_duration(event.oldest)}")
        if self._said != (event.batches, event.waiting):
            self._said = event.batches, event.waiting
            under_way = under_way_at_the_api(event.batches, event.waiting)
            await _complain(f"{under_way}; it may take a day and needs nobody to wait: {COLLECTS}")

    def document(self) -> dict[str, Any]:
        """What JSON output says beside the outcomes."""
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
        """Says what is wrong, and what is still under way."""
        if self.problem is not None:
            await _complain(self.problem)
        if self.open_batches:
            await _complain(f"{under_way_at_the_api(self.open_batches, self.waiting)}; {COLLECTS}")


def under_way_at_the_api(batches: int, waiting: int) -> str:
    """What has been handed over and has no result."""
    noun = "batch" if batches == 1 else "batches"
    return f"{format_count(waiting, 'prompt')} in {batches:,} {noun} under way at the API"


async def _complain(message: str) -> None:
    # In a thread: a reader that has paused must not hold up what is paid for.
    await asyncio.to_thread(print_error, message)
