"""Collects a batch: replies are stored as they come, then written; what got none is given back."""

from __future__ import annotations

from contextlib import aclosing
from decimal import Decimal

from context_builder.llm.batch_model import BatchFailure, BatchGone, BatchState
from context_builder.llm.chat_model import Reply
from context_builder.postmortems.batches.events import NotWritten, Written
from context_builder.postmortems.batches.journal import OpenBatch
from context_builder.postmortems.batches.work import BatchWork
from context_builder.postmortems.journal import PaidReply
from context_builder.postmortems.writer import NotWanted, PostmortemFailed, completed


class BatchCollecting:
    """Collects the batches of one run, and those that earlier runs have left."""

    def __init__(self, work: BatchWork) -> None:
        self._work = work
        self.failed: set[str] = set()
        """Public ids of incidents whose calls were given back."""

    async def collect(self, batch: OpenBatch, api_id: str) -> None:
        """Takes what there is, and closes the batch when that was everything.

        Raises BatchUnavailable, and BatchGone where the API has no such batch.
        """
        if batch.waiting:
            status = await self._work.model.status(api_id)
            if status.state is not BatchState.ENDED:
                return
            try:
                await self._read(batch, api_id)
            except BatchGone as error:
                await self._release(batch, error.reason)
        await self._finish(batch)
        await self._work.journal.close(batch.id)

    async def abandon(self, batch: OpenBatch, reason: str) -> None:
        """Gives back what waits for results that nobody can get any more."""
        await self._release(batch, reason)
        await self._finish(batch)
        await self._work.journal.close(batch.id)

    async def _read(self, batch: OpenBatch, api_id: str) -> None:
        failures: dict[str, BatchFailure] = {}
        async with aclosing(self._work.model.results(api_id)) as results:
            async for custom_id, result in results:
                if isinstance(result, BatchFailure):
                    failures[custom_id] = result
                else:
                    await self._store(batch, custom_id, result)
        for custom_id, failure in failures.items():
            await self._release(batch, failure.reason, custom_id)
        await self._release(batch, "the results of its batch do not hold it")

    async def _store(self, batch: OpenBatch, custom_id: str, reply: Reply) -> None:
        """Keeps a reply before anything else is done with it; one that is there already stays."""
        for call in await self._work.writer.journal.of_batch(batch.id, custom_ids=[custom_id]):
            # A name that the list does not know must not cost more than what was asked for, and set aside.
            model = reply.model if self._work.prices.is_known(reply.model) else batch.model
            cost = self._work.prices.cost(model, reply.usage, batch=True)
            paid = PaidReply(reply=reply, cost_usd=cost)
            if await completed(self._work.writer.journal.replied(call, paid)) is not None:
                self._work.spending.settle(call.worst_cost_usd, cost)

    async def _release(self, batch: OpenBatch, reason: str, custom_id: str | None = None) -> None:
        some = None if custom_id is None else [custom_id]
        released = await self._work.journal.release(batch.id, some)
        for incident, worst_cost_usd in released:
            self._work.spending.settle(worst_cost_usd, Decimal(0))
            self.failed.add(incident)
            await self._work.report(NotWritten(incident, reason))

    async def _finish(self, batch: OpenBatch) -> None:
        """Writes everything whose reply is stored, unless another run does."""
        async for call in self._work.journal.calls(batch.id, replied=True):
            if not await self._work.journal.may_finish(call):
                continue
            incident = await self._work.journal.public_id(call)
            try:
                text = await self._work.writer.finish(call)
            except PostmortemFailed as error:
                self.failed.add(incident)
                failed = NotWritten(incident, str(error), is_failure=not isinstance(error, NotWanted))
                await self._work.report(failed)
            else:
                await self._work.report(Written(text))
