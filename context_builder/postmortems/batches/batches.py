"""Postmortems through batches: handed over together, collected within a day, for half the price.

What a killed run has handed over is collected by the next one. Each step is stored before the next begins:
claimed and built, put into a batch, named by the API, replied to, written.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from decimal import Decimal

from context_builder.llm.batch_model import RESULTS_KEPT, BatchGone, BatchUnavailable, BatchUncertain
from context_builder.postmortems.batches.collecting import BatchCollecting
from context_builder.postmortems.batches.events import Note, NotWritten, Submitted, Waiting
from context_builder.postmortems.batches.filling import BatchFilling, Filling
from context_builder.postmortems.batches.journal import OpenBatch
from context_builder.postmortems.batches.orphans import Found, OrphanSearch, Undecided
from context_builder.postmortems.batches.work import BatchWork
from context_builder.postmortems.candidates import Selection
from context_builder.postmortems.journal import CallLost
from context_builder.text.formatting import format_count

MAX_ATTEMPTS = 3
"""After so many batches without a reply an incident is only handed over again when it is named."""
_MAX_LOST = 3
"""Batches that never arrived, after which a run hands over no more."""
_MAX_TROUBLE = 20
"""Failures in a row after which the API is not waited for any more."""
_PAGE = 200

LeftAlone = Callable[[str], Awaitable[bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often the API is asked, in seconds."""

    first_s: float = 5.0
    most_s: float = 60.0
    growth: float = 1.5
    settle_s: float = 60.0
    """How long the API may take to list a batch that it has received."""


class BatchRun:
    """Hands over what a selection lacks, and collects it with what earlier runs have left."""

    def __init__(self, work: BatchWork, pace: Pace | None = None) -> None:
        self._work = work
        self._pace = pace or Pace()
        self._filling = BatchFilling(work)
        self._collecting = BatchCollecting(work)
        self._orphans = OrphanSearch(
            work.model,
            work.journal,
            settle_s=self._pace.settle_s,
            clock=work.clock,
            monotonic=time.monotonic,
        )
        self._counted: set[int] = set()
        """Batches whose worst cases are set aside."""
        self._lost: dict[int, str] = {}
        """Batches that the API does not know with this key, and what it said."""
        self._noted: set[str] = set()
        self._never_arrived = 0
        self._last_doubt = "the API takes no batch"
        self._refusal: str | None = None
        """Why the API takes no batch; then this run hands over no more."""
        self._again = True
        """Whether there may be incidents to hand over."""
        self._trouble = 0
        self._delay_s = self._pace.first_s

    @property
    def capped(self) -> frozenset[str]:
        """Incidents for which there was no room under the cap."""
        return frozenset(self._filling.capped)

    async def left(self) -> tuple[int, int]:
        """How many batches are open, and how many prompts of them have no result."""
        batches = await self._work.journal.open()
        return len(batches), sum(batch.waiting for batch in batches)

    async def run(
        self, selection: Selection, *, concurrency: int, left_alone: LeftAlone | None = None
    ) -> None:
        """Collects what is open, hands over what is left, and waits until all of it is collected.

        `left_alone` says of an incident's public id whether it is not to be handed over, for a reason that
        the caller has told.

        Raises QuestionError for an incident that is unknown or not resolved, DatabaseError, and
        BatchUnavailable at the end where the API did not take a batch or could not be asked. Cancelled while
        it waits, it leaves the batches to the next run.
        """
        async with self._work.journal.holding():
            await self._look()
            while True:
                if self._again and self._refusal is None:
                    self._again = False
                    await self._hand_over(selection, concurrency, left_alone)
                waiting = [each for each in await self._work.journal.open() if each.id not in self._lost]
                if not waiting and not (self._again and self._refusal is None):
                    break
                if waiting:
                    await self._wait(waiting)
                    await self._look()
        problems = [*self._lost.values(), *([self._refusal] if self._refusal else [])]
        if problems:
            raise BatchUnavailable("; ".join(dict.fromkeys(problems)))

    async def _hand_over(self, selection: Selection, concurrency: int, left_alone: LeftAlone | None) -> None:
        async with aclosing(self._wanted(selection, left_alone)) as incidents:
            await self._filling.fill(
                incidents,
                self._submit_to_the_end,
                concurrency=concurrency,
                refresh_stale=selection.refresh_stale,
            )

    async def _wanted(self, selection: Selection, left_alone: LeftAlone | None) -> AsyncGenerator[str, None]:
        """The incidents of a selection that are in no batch and were not in vain so far."""
        found: list[str] = []
        async for candidate in self._work.writer.candidates(selection):
            incident = candidate.incident
            if incident in self._filling.failed | self._collecting.failed:
                continue
            if left_alone is not None and not candidate.is_paid and await left_alone(incident):
                self._filling.failed.add(incident)
                continue
            found.append(incident)
            if len(found) == _PAGE:
                async for incident in self._free(found, selection.incidents):
                    yield incident
                found.clear()
        async for incident in self._free(found, selection.incidents):
            yield incident

    async def _free(self, incidents: Sequence[str], named: Sequence[str]) -> AsyncIterator[str]:
        progress = await self._work.journal.progress(incidents)
        for incident in incidents:
            waits, attempts = progress.get(incident, (False, 0))
            if waits:
                continue
            if attempts >= MAX_ATTEMPTS and incident not in named:
                self._filling.failed.add(incident)
                remedy = f"--incident {incident} hands it over once more"
                await self._work.report(NotWritten(incident, f"{attempts} batches brought none; {remedy}"))
                continue
            yield incident

    async def _submit_to_the_end(self, filling: Filling) -> None:
        """A submission that has begun is not cut off: nobody would know what the API has got of it."""
        submitting = asyncio.ensure_future(self._submit(filling))
        try:
            await asyncio.shield(submitting)
        except asyncio.CancelledError:
            at_most = f"at most {self._work.model.submit_deadline_s:.0f} s"
            await self._note(f"stops when the API has answered to what is being handed over, {at_most}")
            await asyncio.wait([submitting])
            raise

    async def _submit(self, filling: Filling) -> None:
        work = self._work
        if self._refusal is not None:
            await self._give_up(filling)
            return
        try:
            batch_id = await work.journal.begin(filling.calls, work.model.model)
        except CallLost:
            self._again = True
            await self._give_up(filling)
            return
        self._counted.add(batch_id)
        try:
            api_id = await work.model.submit(filling.prompts)
        except BatchUncertain as error:
            self._last_doubt = error.reason
            prompts = format_count(len(filling.prompts), "prompt")
            await work.report(Note(f"the API may have taken a batch of {prompts}, or not: {error.reason}"))
            return
        except BatchUnavailable as error:
            self._refusal = error.reason
            await work.journal.dissolve(batch_id)
            await self._give_up(filling)
            return
        await work.journal.accepted(batch_id, api_id)
        self._delay_s = self._pace.first_s
        await work.report(Submitted(api_id, len(filling.prompts), filling.worst_cost_usd))

    async def _give_up(self, filling: Filling) -> None:
        self._work.spending.settle(filling.worst_cost_usd, Decimal(0))
        await self._work.journal.give_back(filling.calls)

    async def _wait(self, batches: Sequence[OpenBatch]) -> None:
        oldest = min(batch.created_at for batch in batches)
        await self._work.report(
            Waiting(
                batches=len(batches),
                waiting=sum(batch.waiting for batch in batches),
                oldest=self._work.clock() - oldest,
                next_look_s=self._delay_s,
            )
        )
        await asyncio.sleep(self._delay_s)
        self._delay_s = min(self._delay_s * self._pace.growth, self._pace.most_s)

    async def _look(self) -> None:
        """Looks at every open batch once; what the API does not say now it is asked for later."""
        spending = self._work.spending
        for batch in await self._work.journal.open():
            if batch.id in self._lost:
                continue
            if batch.id not in self._counted:
                self._counted.add(batch.id)
                spending.count_in(batch.worst_cost_usd)
            before = spending.spent + spending.reserved
            try:
                await self._look_at(batch)
            except BatchGone as error:
                await self._gone(batch, error.reason)
            except BatchUnavailable as error:
                await self._troubled(error)
            else:
                self._trouble = 0
            # What cost less than it could have leaves room for others.
            self._again |= bool(self.capped) and spending.spent + spending.reserved < before

    async def _look_at(self, batch: OpenBatch) -> None:
        api_id = batch.api_id
        if api_id is None and batch.waiting:
            api_id = await self._named(batch)
            if api_id is None:
                return
        await self._collecting.collect(batch, api_id or "")

    async def _named(self, batch: OpenBatch) -> str | None:
        """The API's name of a batch whose submission was cut off; None: it has none, or not yet."""
        work = self._work
        prompts = format_count(batch.waiting, "prompt")
        if await work.journal.take_over(batch.id) is False:
            await self._note(f"another run is handing over a batch of {prompts}")
            return None
        match await self._orphans.look(batch):
            case Found(api_id=api_id):
                await work.journal.accepted(batch.id, api_id)
                await self._note(f"the API has the batch of {prompts} that was cut off: {api_id}")
                return api_id
            case Undecided(until=until):
                where = f"a batch of {prompts} was cut off when it was handed over"
                await self._note(f"{where}; it is not repeated before it is clear whether the API has it")
                await self._note(f"waiting for {until}")
            case _:
                work.spending.settle(batch.worst_cost_usd, Decimal(0))
                await work.journal.dissolve(batch.id)
                self._again = True
                self._never_arrived += 1
                if self._never_arrived == _MAX_LOST:
                    self._refusal = self._last_doubt
                await self._note(f"the API never got the batch of {prompts}; its incidents are free again")
        return None

    async def _gone(self, batch: OpenBatch, reason: str) -> None:
        """Gives up a batch of which nothing can come any more; a wrong key does not make it one."""
        if self._work.clock() - batch.created_at > RESULTS_KEPT:
            await self._collecting.abandon(batch, reason)
            return
        self._lost[batch.id] = (
            f"batch {batch.api_id} of {format_count(batch.waiting, 'prompt')}: {reason}; "
            "its replies are paid for: use a key of the workspace that it was submitted with"
        )

    async def _troubled(self, error: BatchUnavailable) -> None:
        self._trouble += 1
        if self._trouble >= _MAX_TROUBLE:
            raise error
        await self._note(f"{error.reason}; it is asked again")

    async def _note(self, message: str) -> None:
        """Says it, unless it was said before."""
        if message not in self._noted:
            self._noted.add(message)
            await self._work.report(Note(message))
