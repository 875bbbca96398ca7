"""Collect batches: store replies as they arrive, write their postmortems, release calls that got no reply."""

from __future__ import annotations

from contextlib import aclosing
from decimal import Decimal

from context_builder.jobs.completion import completed
from context_builder.llm.batch_model import BatchFailure, BatchGone, BatchState
from context_builder.llm.chat_model import Reply
from context_builder.postmortems.batches.context import BatchContext
from context_builder.postmortems.batches.journal import OpenBatch
from context_builder.postmortems.batches.progress import Notice, NotWritten, PostmortemWritten
from context_builder.postmortems.journal import ClaimedCall, PaidReply
from context_builder.postmortems.writer import NothingToDo, PostmortemFailed

_FREE = Decimal(0)


class BatchCollector:
    """Collects the batches of this run and those of earlier runs."""

    def __init__(self, context: BatchContext) -> None:
        self._context = context
        self.failed: set[str] = set()
        """Public ids of incidents that got no postmortem."""

    async def collect(self, batch: OpenBatch, api_id: str) -> None:
        """Collect a batch if the API has ended it, and end it here when all of it is written.

        Raises:
            BatchUnavailable: the API could not be asked; nothing is lost.
            BatchGone: the API has no such batch.
        """
        if batch.waiting:
            status = await self._context.model.status(api_id)
            if status.state is not BatchState.ENDED:
                return
            try:
                is_ours = await self._store_results(batch, api_id)
            except BatchGone as error:
                await self._release(batch, error.reason, cost=None)
            else:
                if not is_ours and await self._context.journal.disown(batch.id):
                    notice = f"the results of {api_id} belong to another batch than batch {batch.id} here"
                    await self._context.report(Notice(notice))
                    return
                await self._release(batch, "the results of its batch do not contain it")
        await self._finish(batch)

    async def give_up(self, batch: OpenBatch, reason: str) -> None:
        """Release all calls of a batch whose results nobody can get any more."""
        await self._release(batch, reason, cost=None)
        await self._finish(batch)

    async def _store_results(self, batch: OpenBatch, api_id: str) -> bool:
        """Store all replies and release failed calls. Returns whether any result belongs to this batch."""
        failures: dict[str, BatchFailure] = {}
        is_ours = False
        async with aclosing(self._context.model.results(api_id)) as results:
            async for custom_id, result in results:
                call = await self._context.journal.call(batch.id, custom_id)
                if call is None:
                    continue
                is_ours = True
                if isinstance(result, BatchFailure):
                    failures[custom_id] = result
                elif call.reply is None:
                    await self._store(batch, call, result)
        for custom_id, failure in failures.items():
            await self._release(batch, failure.reason, [custom_id])
        return is_ours

    async def _store(self, batch: OpenBatch, call: ClaimedCall, reply: Reply) -> None:
        """Store a reply before anything else is done with it."""
        prices = self._context.prices
        cost = prices.cost(reply.model, reply.usage, batch=True, asked_for=batch.model)
        await completed(self._context.writer.journal.replied(call, PaidReply(reply=reply, cost_usd=cost)))

    async def _release(
        self,
        batch: OpenBatch,
        reason: str,
        custom_ids: list[str] | None = None,
        *,
        cost: Decimal | None = _FREE,
    ) -> None:
        """Release calls that get no reply, by default all that are left; a cost of None is their worst."""
        for incident, custom_id in await self._context.journal.release(batch.id, custom_ids):
            await self._context.ledger.settle(custom_id, cost)
            self.failed.add(incident)
            await self._context.report(NotWritten(incident, reason))

    async def _finish(self, batch: OpenBatch) -> None:
        """Write every postmortem whose reply is stored, unless another run does, and end the batch."""
        async for incident, call in self._context.journal.replied_calls(batch.id):
            if not await self._context.journal.claim_reply(call):
                continue
            try:
                text = await self._context.writer.finish(call)
            except PostmortemFailed as error:
                self.failed.add(incident)
                is_failure = not isinstance(error, NothingToDo)
                await self._context.report(NotWritten(incident, str(error), is_failure=is_failure))
            else:
                await self._context.report(PostmortemWritten(text))
        await self._context.journal.end(batch.id)
