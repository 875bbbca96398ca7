"""The run over many incidents: one call for each, a few at a time, resumable at any point."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from api.archive.postmortem_files import FileState, PostmortemFiles
from api.cli.failure import error_text
from context_builder.postmortems.candidates import Candidate, Selection
from context_builder.postmortems.records import PostmortemText
from context_builder.postmortems.spending import CapReached, Spending
from context_builder.postmortems.template import Template
from context_builder.postmortems.writer import NotWanted, PostmortemFailed, PostmortemWriter
from context_builder.question.request import QuestionError
from models.errors import DatabaseError


class Result(StrEnum):
    """What became of one incident."""

    WRITTEN = "written"
    RESTORED = "restored"
    """Only its file was made again, from the database."""
    FAILED = "failed"
    EDITED = "edited"
    """A person has changed its file, so that it was left alone."""
    ELSEWHERE = "elsewhere"
    """Another run has it, or had it, or a person has."""
    UNAFFORDABLE = "unaffordable"
    """It does not fit under the cap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one incident, and why."""

    incident: str
    result: Result
    file: Path | None = None
    """None: there is no file."""
    model: str | None = None
    cost_usd: Decimal = Decimal(0)
    note: str = ""


@dataclass(slots=True)
class Tally:
    """What has been done so far, in numbers: the run may be over any number of incidents."""

    total: int = 0
    """Incidents to be written."""
    tried: int = 0
    """Of these, those that are done with, well or not."""
    counts: Counter[Result] = field(default_factory=Counter)
    cost_usd: Decimal = Decimal(0)
    """Of what was written."""

    @property
    def left(self) -> int:
        """Incidents that were not tried, or are not affordable."""
        return max(0, self.total - self.tried) + self.counts[Result.UNAFFORDABLE]

    def add(self, outcome: Outcome, *, tried: bool) -> None:
        """Counts an outcome; `tried` where it is that of an incident to be written."""
        self.counts[outcome.result] += 1
        self.cost_usd += outcome.cost_usd
        if tried:
            self.tried += 1
            self.total = max(self.total, self.tried)


Report = Callable[[Outcome | None, Tally], Awaitable[None]]
"""Called with None when only the numbers have changed, else with each outcome."""

_FAILURES = (PostmortemFailed, QuestionError, DatabaseError, SQLAlchemyError)
"""What costs one incident its postmortem; the others go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be written, and how."""

    selection: Selection
    template: Template
    spending: Spending
    batch_api: bool = False
    """Whether the calls go through the Message Batches API."""


class PostmortemBatch:
    """Writes what a selection lacks, first to the database and then to files."""

    def __init__(
        self, writer: PostmortemWriter, files: PostmortemFiles, order: Order, report: Report
    ) -> None:
        self._writer = writer
        self._files = files
        self._order = order
        self._report = report
        self.tally = Tally()
        self._candidates: AsyncIterator[Candidate] = writer.candidates(order.selection)
        self._next = asyncio.Lock()

    async def begin(self) -> None:
        """Counts what is to be written, and makes the files that only the database still has.

        Raises QuestionError for an incident that is unknown or not resolved, and FolderUnusable, both
        before anything is written.
        """
        total = 0
        async for _ in self._writer.candidates(self._order.selection):
            total += 1
        await asyncio.to_thread(self._files.prepare)
        self.tally.total = total
        await self._report(None, self.tally)
        selection = self._order.selection
        async for stored in self._writer.records.all(selection.incidents, since=selection.since):
            await self._restore(stored)

    async def write(self, *, concurrency: int) -> None:
        """Writes what `begin` has counted; `tally` says how far it got, also when it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, self.tally.total)):
                group.create_task(self._work())

    async def stored(self, text: PostmortemText) -> None:
        """Makes the file of a postmortem that has come some other way, and tells it."""
        await self._note(await self._save(text), tried=True)

    async def tell(self, outcome: Outcome) -> None:
        """Counts and tells what became of an incident some other way."""
        await self._note(outcome, tried=True)

    async def left_alone(self, incident: str) -> bool:
        """Whether an incident is not written because its file is a person's, which is told then."""
        edited = await self._is_edited(incident)
        if edited:
            await self._note(self._edited(incident), tried=True)
        return edited

    async def _restore(self, stored: PostmortemText) -> None:
        """Makes a file again whose writing a kill, a full disk or a decision of a person has left behind."""
        try:
            state = await asyncio.to_thread(self._files.state, stored)
            if state is FileState.EDITED:
                await self._note(self._edited(stored.incident), tried=False)
            elif state is not FileState.CURRENT:
                file = await asyncio.to_thread(self._files.write, stored)
                await self._note(
                    Outcome(incident=stored.incident, result=Result.RESTORED, file=file), tried=False
                )
        except OSError as error:
            await self._note(_without_file(stored, error), tried=False)

    async def _work(self) -> None:
        """One of several that take incidents from the same iterator."""
        while True:
            async with self._next:
                candidate = await anext(self._candidates, None)
            if candidate is None:
                return
            outcome = await self._outcome(candidate)
            await self._note(outcome, tried=True)

    async def _outcome(self, candidate: Candidate) -> Outcome:
        incident, order = candidate.incident, self._order
        if not candidate.is_paid and not order.spending.could_fit(self._writer.least_worst_case):
            return Outcome(incident=incident, result=Result.UNAFFORDABLE)
        try:
            if not candidate.is_paid and await self._is_edited(incident):
                return self._edited(incident)
            stored = await self._writer.write(
                incident,
                template=order.template,
                spending=order.spending,
                refresh_stale=order.selection.refresh_stale,
            )
        except NotWanted as error:
            return Outcome(incident=incident, result=Result.ELSEWHERE, note=str(error))
        except CapReached as error:
            return Outcome(incident=incident, result=Result.UNAFFORDABLE, note=str(error))
        except (*_FAILURES, OSError) as error:
            return Outcome(incident=incident, result=Result.FAILED, note=error_text(error))
        return await self._save(stored)

    async def _is_edited(self, incident: str) -> bool:
        """Whether the file is a person's: what a run would write then could not be put beside it."""
        stored = await self._writer.records.get(incident)
        if stored is None:
            return await asyncio.to_thread(self._files.is_edited, incident)
        return await asyncio.to_thread(self._files.state, stored) is FileState.EDITED

    async def _save(self, stored: PostmortemText) -> Outcome:
        try:
            if await asyncio.to_thread(self._files.is_edited, stored.incident):
                # A person began with it while the model wrote; the database has both sides of it.
                note = f"written, and {self._edited(stored.incident).note}"
                return Outcome(
                    incident=stored.incident,
                    result=Result.WRITTEN,
                    model=stored.model,
                    cost_usd=stored.cost_usd,
                    note=note,
                )
            file = await asyncio.to_thread(self._files.write, stored)
        except OSError as error:
            return _without_file(stored, error)
        return Outcome(
            incident=stored.incident,
            result=Result.WRITTEN,
            file=file,
            model=stored.model,
            cost_usd=stored.cost_usd,
        )

    def _edited(self, incident: str) -> Outcome:
        file = self._files.path(incident)
        remedy = f"arcpoint postmortem edit {incident} --file {file}"
        note = f"its file was edited and stays as it is; `{remedy}` takes it in"
        return Outcome(incident=incident, result=Result.EDITED, file=file, note=note)

    async def _note(self, outcome: Outcome, *, tried: bool) -> None:
        self.tally.add(outcome, tried=tried)
        await self._report(outcome, self.tally)


def _without_file(stored: PostmortemText, error: OSError) -> Outcome:
    said = f"stored in the database, but not as a file: {error_text(error)}"
    return Outcome(
        incident=stored.incident, result=Result.FAILED, model=stored.model, cost_usd=Decimal(0), note=said
    )
