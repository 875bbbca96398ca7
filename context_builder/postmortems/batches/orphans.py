"""Finds out whether the API took a batch whose submission was cut off before its name was stored.

Submitting knows no key that would make a second time harmless. But every result of a batch bears a custom id
of ours that nobody can guess, so a batch that we do not know shows by its first result whether it is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from context_builder.llm.batch_model import BatchGone, BatchModel, BatchState, BatchStatus
from context_builder.postmortems.batches.journal import BatchJournal, OpenBatch

CLOCKS_DIFFER = timedelta(hours=1)
"""By how much our clock and the API's may, before a batch of ours would not be looked at."""


@dataclass(frozen=True, slots=True)
class Found:
    """The API took the batch."""

    api_id: str


@dataclass(frozen=True, slots=True)
class Undecided:
    """It cannot be told yet."""

    until: str
    """What is waited for."""


class NotTaken:
    """The API did not take it, so that it may be submitted again."""


@dataclass(slots=True)
class _Orphan:
    """What is known of one batch without a name."""

    seen_at: datetime
    """When this run found it: by then nobody was submitting it any more."""
    settled_after: float
    """On the monotonic clock: what was under way to the API then must show in its list by then."""
    others: set[str] = field(default_factory=set)
    """Batches of the API that are not it."""


class OrphanSearch:
    """Looks for the batches of one run that have no name."""

    def __init__(
        self,
        model: BatchModel,
        journal: BatchJournal,
        *,
        settle_s: float,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        """`settle_s` is how long the API may take to list a batch that it has received."""
        self._model = model
        self._journal = journal
        self._settle_s = settle_s
        self._clock = clock
        self._monotonic = monotonic
        self._orphans: dict[int, _Orphan] = {}

    async def look(self, batch: OpenBatch) -> Found | Undecided | NotTaken:
        """What became of a batch that this process looks after. Raises BatchUnavailable."""
        orphan = self._orphans.get(batch.id)
        if orphan is None:
            orphan = _Orphan(self._clock(), self._monotonic() + self._settle_s)
            self._orphans[batch.id] = orphan
        settled = self._monotonic() >= orphan.settled_after
        ours = await self._journal.custom_ids(batch.id)
        unfinished: list[str] = []
        for status in await self._unknown(batch, orphan, len(ours)):
            if status.state is not BatchState.ENDED:
                unfinished.append(status.api_id)
            elif status.has_results and await self._holds(status.api_id, ours):
                return Found(status.api_id)
            else:
                orphan.others.add(status.api_id)
        if unfinished:
            return Undecided(f"the end of {', '.join(unfinished)}, which may be it")
        if not settled:
            return Undecided(f"{self._settle_s:g} s in which it may still appear there")
        return NotTaken()

    async def _unknown(self, batch: OpenBatch, orphan: _Orphan, prompts: int) -> list[BatchStatus]:
        """The API's batches that it can be: of that time, large enough, and none that is known."""
        since, until = batch.created_at - CLOCKS_DIFFER, orphan.seen_at + CLOCKS_DIFFER
        recent = [
            status
            for status in await self._model.recent(since)
            if status.created_at <= until and status.total >= prompts and status.api_id not in orphan.others
        ]
        known = await self._journal.known([status.api_id for status in recent])
        return [status for status in recent if status.api_id not in known]

    async def _holds(self, api_id: str, ours: Collection[str]) -> bool:
        """Whether the results are ours, which the first one tells: no batch is partly ours."""
        try:
            async with aclosing(self._model.results(api_id)) as results:
                async for custom_id, _ in results:
                    return custom_id in ours
        except BatchGone:
            pass
        return False
