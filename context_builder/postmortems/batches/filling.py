"""Fills batches: claims incidents, builds their prompts and puts together as many as one batch holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial

from sqlalchemy.exc import SQLAlchemyError

from context_builder.postmortems.batches.events import NotWritten, Written
from context_builder.postmortems.batches.work import BatchWork
from context_builder.postmortems.journal import Call, CallLost
from context_builder.postmortems.writer import NotWanted, PostmortemFailed
from context_builder.prompt.prompt import Prompt
from context_builder.prompt.render import render
from context_builder.question.request import QuestionError
from models.errors import DatabaseError


@dataclass(slots=True)
class Filling:
    """Calls that go into one batch, with their prompts."""

    calls: list[Call] = field(default_factory=list)
    """Without their plans, which are in the journal and many times as large."""
    prompts: list[tuple[str, Prompt]] = field(default_factory=list)
    """By custom id."""
    size: int = 0
    """In bytes."""

    @property
    def worst_cost_usd(self) -> Decimal:
        """The most that all of it can cost."""
        return sum((call.worst_cost_usd for call in self.calls), Decimal(0))


@dataclass(frozen=True, slots=True)
class _Item:
    call: Call
    prompt: Prompt
    size: int


Submit = Callable[[Filling], Awaitable[None]]


class BatchFilling:
    """Fills the batches of one run."""

    def __init__(self, work: BatchWork) -> None:
        self._work = work
        self.failed: set[str] = set()
        """Public ids of incidents that are not tried again in this run."""
        self.capped: set[str] = set()
        """Those that did not fit under the cap, the last time that they were tried."""
        self._filling = Filling()
        self._choosing = asyncio.Lock()

    async def fill(
        self, incidents: AsyncIterator[str], submit: Submit, *, concurrency: int, refresh_stale: bool
    ) -> None:
        """Hands a batch to `submit` whenever one is full, and the last one at the end.

        From then on its calls are the submitter's, whatever comes of it. What has not been handed over when
        it is cancelled, or fails, is given back.
        """
        taking = partial(self._take, incidents, submit, refresh_stale=refresh_stale)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(concurrency):
                    group.create_task(taking())
            rest, self._filling = self._filling, Filling()
            if rest.calls:
                await submit(rest)
        except* (DatabaseError, SQLAlchemyError, OSError) as group_of_errors:
            raise _first(group_of_errors) from None
        finally:
            waiting, self._filling = self._filling, Filling()
            await self._give_back(waiting.calls)

    async def _take(self, incidents: AsyncIterator[str], submit: Submit, *, refresh_stale: bool) -> None:
        """One of several that take incidents from the same iterator."""
        while True:
            async with self._choosing:
                incident = await anext(incidents, None)
            if incident is None:
                return
            item = await self._item(incident, refresh_stale=refresh_stale)
            if item is not None:
                await self._put(item, submit)

    async def _item(self, incident: str, *, refresh_stale: bool) -> _Item | None:
        """The incident's prompt, with its worst case set aside; None: it has none, which was told."""
        self.capped.discard(incident)
        if not self._work.spending.could_fit(self._work.least_cost_usd):
            self.capped.add(incident)
            return None
        try:
            call = await self._work.writer.claim(incident, refresh_stale=refresh_stale)
            if call.reply is not None:
                await self._work.report(Written(await self._work.writer.finish(call)))
                return None
            return await self._built(incident, call)
        except (PostmortemFailed, QuestionError, CallLost, ValueError) as error:
            self.failed.add(incident)
            await self._work.report(
                NotWritten(incident, str(error), is_failure=not isinstance(error, NotWanted))
            )
            return None

    async def _built(self, incident: str, call: Call) -> _Item | None:
        item = None
        try:
            call = await self._work.writer.build(call, self._work.template, batch=True)
            if call.plan is None:
                raise PostmortemFailed("it was not built")
            prompt = await asyncio.to_thread(render, call.plan.manifest)
            # A reader in another thread: a large prompt takes a while to encode.
            size = await asyncio.to_thread(self._work.model.size_of, call.custom_id, prompt)
            if size > self._work.model.most_bytes:
                raise PostmortemFailed(f"its prompt of {size:,} bytes is too large for a batch")
            if self._work.spending.set_aside(call.worst_cost_usd):
                item = _Item(replace(call, plan=None), prompt, size)
            else:
                self.capped.add(incident)
        finally:
            if item is None:
                await self._work.journal.give_back([call])
        return item

    async def _put(self, item: _Item, submit: Submit) -> None:
        # Nothing is awaited before the item has its place, so that a cancelled run gives it back.
        full = len(self._filling.calls) == self._work.model.most_requests
        ready = Filling()
        if full or self._filling.size + item.size > self._work.model.most_bytes:
            ready, self._filling = self._filling, ready
        self._filling.calls.append(item.call)
        self._filling.prompts.append((item.call.custom_id, item.prompt))
        self._filling.size += item.size
        if ready.calls:
            await submit(ready)

    async def _give_back(self, calls: list[Call]) -> None:
        for call in calls:
            self._work.spending.settle(call.worst_cost_usd, Decimal(0))
        await self._work.journal.give_back(calls)


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
