"""The batch of postmortems: one call for each incident, a few at a time, resumable at any point."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from api.cli.failure import reason
from api.postmortem_files import PostmortemFiles
from context_builder.postmortems.writer import PostmortemFailed, PostmortemText, PostmortemWriter
from context_builder.request import QuestionError
from models.database import DatabaseError


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one incident."""

    incident: str
    file: Path | None = None
    """None: there is no file."""
    model: str | None = None
    cost_usd: Decimal = Decimal(0)
    restored: bool = False
    """Whether only the file was made again, from the database."""
    error: str | None = None


@dataclass(slots=True)
class Tally:
    """What has been done so far."""

    total: int
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def written(self) -> list[Outcome]:
        """New postmortems."""
        return [each for each in self.outcomes if each.error is None and not each.restored]

    @property
    def restored(self) -> list[Outcome]:
        """Files made again."""
        return [each for each in self.outcomes if each.error is None and each.restored]

    @property
    def failed(self) -> list[Outcome]:
        """Incidents that want another run."""
        return [each for each in self.outcomes if each.error is not None]

    @property
    def tried(self) -> int:
        """Incidents that are done with, well or not."""
        return sum(not each.restored for each in self.outcomes)

    @property
    def left(self) -> int:
        """Incidents that were not tried."""
        return self.total - self.tried

    @property
    def cost_usd(self) -> Decimal:
        """What this run has cost."""
        return sum((each.cost_usd for each in self.outcomes), Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which incidents are meant; empty means all that are resolved."""

    incidents: Sequence[str] = ()
    since: datetime | None = None


Report = Callable[[Outcome | None, Tally], Awaitable[None]]
"""Called with None when it is known how many there are, then with each outcome."""

_FAILURES = (PostmortemFailed, QuestionError, DatabaseError, SQLAlchemyError)
"""What costs one incident its postmortem; the others go on."""


class PostmortemBatch:
    """Writes what a selection lacks, first to the database and then to files."""

    def __init__(self, writer: PostmortemWriter, files: PostmortemFiles, report: Report) -> None:
        self._writer = writer
        self._files = files
        self._report = report
        self.tally = Tally(0)
        self._pending: tuple[str, ...] = ()

    async def begin(self, selection: Selection) -> None:
        """Finds out what is to be written, and makes the files that only the database still has.

        Raises QuestionError for an incident that is unknown or not resolved, and FolderUnusable, both
        before anything is written.
        """
        pending = await self._writer.pending(incidents=selection.incidents, since=selection.since)
        await asyncio.to_thread(self._files.prepare)
        self._pending = pending
        self.tally.total = len(pending)
        await self._report(None, self.tally)
        await self._restore(selection)

    async def write(self, *, concurrency: int) -> None:
        """Writes what `begin` found; `tally` says how far it got, also when it is cancelled."""
        waiting = iter(self._pending)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, len(self._pending))):
                group.create_task(self._work(waiting))

    async def _restore(self, selection: Selection) -> None:
        """Makes the files again whose writing a kill or a full disk has prevented."""
        for stored in await self._writer.written(selection.incidents, since=selection.since):
            if await asyncio.to_thread(self._files.lacks, stored):
                await self._note(await self._save(stored, restored=True))

    async def _work(self, waiting: Iterator[str]) -> None:
        """One of several that take incidents from the same iterator."""
        for incident in waiting:
            await self._note(await self._write(incident))

    async def _write(self, incident: str) -> Outcome:
        try:
            stored = await self._writer.write(incident)
        except _FAILURES as error:
            return Outcome(incident=incident, error=reason(error))
        return await self._save(stored)

    async def _save(self, stored: PostmortemText, *, restored: bool = False) -> Outcome:
        try:
            file = await asyncio.to_thread(self._files.write, stored)
        except OSError as error:
            said = f"stored in the database, but not as a file: {reason(error)}"
            return Outcome(incident=stored.incident, restored=restored, error=said)
        cost = Decimal(0) if restored else stored.cost_usd
        return Outcome(
            incident=stored.incident, file=file, model=stored.model, cost_usd=cost, restored=restored
        )

    async def _note(self, outcome: Outcome) -> None:
        self.tally.outcomes.append(outcome)
        await self._report(outcome, self.tally)
