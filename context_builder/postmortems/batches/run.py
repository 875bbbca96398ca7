"""A run through the Message Batches API: prompts submitted together, answered within a day at half price.

Every step is stored before the next one begins, so the next run collects what a killed run has submitted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from decimal import Decimal

from context_builder.llm.batch_model import RESULTS_KEPT, BatchGone, BatchUnavailable
from context_builder.postmortems.batches.collection import BatchCollector
from context_builder.postmortems.batches.context import BatchContext
from context_builder.postmortems.batches.journal import OpenBatch
from context_builder.postmortems.batches.progress import Notice, NotWritten, WaitingForBatches
from context_builder.postmortems.batches.submission import BatchSubmitter
from context_builder.postmortems.candidates import PostmortemCandidate, Selection
from context_builder.text.formatting import format_count, format_time

MAX_ATTEMPTS = 3
"""After this many batches without a reply, an incident is only submitted again if it is named."""
_MAX_FAILURES = 20
"""Failed polls in a row after which the run ends."""

LeaveAlone = Callable[[str], Awaitable[bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PollIntervals:
    """How often the API is polled, in seconds."""

    first_s: float = 5.0
    max_s: float = 60.0
    growth: float = 1.5


class BatchRun:
    """Submits what a selection lacks, and collects it together with what earlier runs have submitted."""

    def __init__(self, context: BatchContext, intervals: PollIntervals | None = None) -> None:
        self._context = context
        self._intervals = intervals or PollIntervals()
        self._collector = BatchCollector(context)
        self._problems: dict[int, str] = {}
        """Why a batch is not collected in this run, by its id."""
        self._failures = 0
        self._delay_s = self._intervals.first_s
        self.capped: frozenset[str] = frozenset()
        """Public ids of incidents that did not fit under the cap."""

    async def left(self) -> tuple[int, int]:
        """Return the number of open batches, and of their prompts without a result."""
        batches = await self._context.journal.open()
        return len(batches), sum(batch.waiting for batch in batches)

    async def run(
        self, selection: Selection, *, concurrency: int, leave_alone: LeaveAlone | None = None
    ) -> None:
        """Collect what is open, submit what is missing, and wait until everything is collected.

        `leave_alone` returns whether an incident must not be submitted, and reports the reason itself. If
        this is cancelled while it waits, the next run collects the batches.

        Raises:
            QuestionError: an incident is unknown or not resolved.
            BatchUnavailable: at the end, if the API accepted no batch, could not be asked, or a batch needs a
                person.
            DatabaseError: the database cannot be used.
        """
        async with self._context.writer.journal.held():
            await self._collect()
            refusal = await self._submit(selection, concurrency, leave_alone)
            while waiting := await self._waiting():
                await self._wait(waiting)
                await self._collect()
        problems = [*self._problems.values(), *([refusal] if refusal else [])]
        if problems:
            raise BatchUnavailable("; ".join(dict.fromkeys(problems)))

    async def _submit(
        self, selection: Selection, concurrency: int, leave_alone: LeaveAlone | None
    ) -> str | None:
        """Submit what is missing. Returns why the API accepts no batch, None if it does."""
        in_progress = sum([batch.worst_cost_usd for batch in await self._context.journal.open()], Decimal(0))
        submitter = BatchSubmitter(
            self._context, self._context.payer.after(in_progress), refresh_stale=selection.refresh_stale
        )
        async with aclosing(self._candidates(selection, leave_alone)) as candidates:
            try:
                await submitter.submit(candidates, concurrency=concurrency)
            finally:
                self.capped = frozenset(submitter.capped)
        return submitter.refusal

    async def _candidates(
        self, selection: Selection, leave_alone: LeaveAlone | None
    ) -> AsyncGenerator[PostmortemCandidate, None]:
        """Yield the incidents of a selection that are in no batch and have not failed in this run."""
        failed = self._collector.failed
        async for candidate in self._context.writer.candidates(selection):
            incident = candidate.incident
            if candidate.is_in_batch or incident in failed:
                continue
            if (
                not candidate.is_paid
                and candidate.attempts >= MAX_ATTEMPTS
                and incident not in selection.incidents
            ):
                reason = (
                    f"{candidate.attempts} batches brought no reply; --incident {incident} tries it again"
                )
                await self._context.report(NotWritten(incident, reason))
                continue
            if not candidate.is_paid and leave_alone is not None and await leave_alone(incident):
                continue
            yield candidate

    async def _waiting(self) -> list[OpenBatch]:
        return [batch for batch in await self._context.journal.open() if batch.id not in self._problems]

    async def _wait(self, batches: Sequence[OpenBatch]) -> None:
        await self._context.report(
            WaitingForBatches(
                batches=len(batches),
                prompts=sum(batch.waiting for batch in batches),
                oldest=self._context.clock() - min(batch.created_at for batch in batches),
                next_poll_s=self._delay_s,
            )
        )
        await asyncio.sleep(self._delay_s)
        self._delay_s = min(self._delay_s * self._intervals.growth, self._intervals.max_s)

    async def _collect(self) -> None:
        """Poll every open batch once; what cannot be collected now is polled again later."""
        for batch in await self._waiting():
            if batch.is_interrupted:
                self._problems[batch.id] = _interrupted(batch)
            elif batch.api_id is not None:
                await self._poll(batch, batch.api_id)

    async def _poll(self, batch: OpenBatch, api_id: str) -> None:
        try:
            await self._collector.collect(batch, api_id)
        except BatchGone as error:
            if self._context.clock() - batch.created_at > RESULTS_KEPT:
                await self._collector.give_up(batch, error.reason)
                return
            # A key of another workspace gets the same answer, so the batch is kept.
            prompts = format_count(batch.waiting, "prompt")
            self._problems[batch.id] = (
                f"batch {api_id} of {prompts}: {error.reason}; its replies are paid for: "
                "use a key of the workspace it was submitted with"
            )
        except BatchUnavailable as error:
            self._failures += 1
            if self._failures >= _MAX_FAILURES:
                raise
            await self._context.report(Notice(f"{error.reason}; trying again"))
        else:
            self._failures = 0


def _interrupted(batch: OpenBatch) -> str:
    """Say what to do with a batch of which nobody knows whether the API has it."""
    command = f"arcpoint postmortem batches {batch.id}"
    return (
        f"the submission of batch {batch.id} ({format_count(batch.waiting, 'prompt')}, "
        f"{format_time(batch.created_at)} UTC) was interrupted, and the API may have it: look for it in the "
        f"Console, then `{command} --adopt ID` if it is there or `{command} --discard` if it is not"
    )
