"""A run over many incidents: one model call each, a few at a time, resumable at any point."""

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
from context_builder.postmortems.candidates import PostmortemCandidate, Selection
from context_builder.postmortems.records import StoredPostmortem
from context_builder.postmortems.template import Template
from context_builder.postmortems.writer import NothingToDo, PostmortemFailed, PostmortemWriter
from context_builder.question.request import QuestionError
from context_builder.spend.accounts import Payer
from context_builder.spend.ledger import CapReached
from models.errors import DatabaseError


class OutcomeKind(StrEnum):
    """How a run ended for one incident."""

    WRITTEN = "written"
    RESTORED = "restored"
    """Only its file was written again, from the database."""
    FAILED = "failed"
    EDITED = "edited"
    """Skipped because a person has edited its file."""
    ELSEWHERE = "elsewhere"
    """Skipped because another run or a person has written it, or is writing it."""
    UNAFFORDABLE = "unaffordable"
    """Skipped because it does not fit under the cap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentOutcome:
    """How a run ended for one incident, and why."""

    incident: str
    """Public id."""
    kind: OutcomeKind
    file: Path | None = None
    """None: there is no file."""
    model: str | None = None
    cost_usd: Decimal = Decimal(0)
    note: str = ""


@dataclass(slots=True)
class Tally:
    """Progress in numbers, since a run can cover any number of incidents."""

    total: int = 0
    """Incidents to write."""
    tried: int = 0
    """Of these, the incidents that are done, successfully or not."""
    counts: Counter[OutcomeKind] = field(default_factory=Counter)
    cost_usd: Decimal = Decimal(0)
    """Cost of what was written."""

    @property
    def left(self) -> int:
        """Number of incidents that were not tried or are not affordable."""
        return max(0, self.total - self.tried) + self.counts[OutcomeKind.UNAFFORDABLE]

    def add(self, outcome: IncidentOutcome, *, tried: bool) -> None:
        """Count an outcome; `tried` if it is that of an incident to write."""
        self.counts[outcome.kind] += 1
        self.cost_usd += outcome.cost_usd
        if tried:
            self.tried += 1
            self.total = max(self.total, self.tried)


Report = Callable[[IncidentOutcome | None, Tally], Awaitable[None]]
"""Called with each outcome, or None if only the numbers have changed."""

_FAILURES = (PostmortemFailed, QuestionError, DatabaseError, SQLAlchemyError, OSError)
"""Errors that cost one incident its postmortem; the others continue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What to write, and how."""

    selection: Selection
    template: Template
    payer: Payer
    batch_api: bool = False
    """True: through the Message Batches API."""


class PostmortemRun:
    """Writes the missing postmortems of a selection, to the database first and then to files."""

    def __init__(
        self, writer: PostmortemWriter, files: PostmortemFiles, options: RunOptions, report: Report
    ) -> None:
        self._writer = writer
        self._files = files
        self._options = options
        self._report = report
        self.tally = Tally()
        self._candidates: AsyncIterator[PostmortemCandidate] = writer.candidates(options.selection)
        self._next = asyncio.Lock()

    async def begin(self) -> None:
        """Count what has to be written, and restore files that are missing or outdated.

        Raises:
            QuestionError: an incident is unknown or not resolved; nothing was written.
            FolderUnusable: the folder for the files cannot be used; nothing was written.
        """
        total = 0
        async for _ in self._writer.candidates(self._options.selection):
            total += 1
        await asyncio.to_thread(self._files.prepare)
        self.tally.total = total
        await self._report(None, self.tally)
        selection = self._options.selection
        async for stored in self._writer.records.all(selection.incidents, since=selection.since):
            await self._restore(stored)

    async def write(self, *, concurrency: int) -> None:
        """Write what `begin` has counted. `tally` holds the progress, also if this is cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, self.tally.total)):
                group.create_task(self._work())

    async def save(self, stored: StoredPostmortem) -> None:
        """Write the file of a postmortem that was stored some other way, and report it."""
        await self._record(await self._saved(stored), tried=True)

    async def record(self, outcome: IncidentOutcome) -> None:
        """Count and report the outcome of an incident that was handled some other way."""
        await self._record(outcome, tried=True)

    async def leave_alone(self, incident: str) -> bool:
        """Return whether an incident is skipped because a person has edited its file, which is reported."""
        edited = await self._is_edited(incident)
        if edited:
            await self._record(self._edited(incident), tried=True)
        return edited

    async def _restore(self, stored: StoredPostmortem) -> None:
        """Write a file again that is missing or outdated after a kill, a full disk or a person's decision."""
        try:
            state = await asyncio.to_thread(self._files.state, stored)
            if state is FileState.CURRENT:
                return
            if state is FileState.EDITED:
                outcome = self._edited(stored.incident)
            else:
                file = await asyncio.to_thread(self._files.write, stored)
                outcome = IncidentOutcome(incident=stored.incident, kind=OutcomeKind.RESTORED, file=file)
        except OSError as error:
            outcome = _without_file(stored, error)
        await self._record(outcome, tried=False)

    async def _work(self) -> None:
        """Write candidates; several of these share one iterator."""
        while True:
            async with self._next:
                candidate = await anext(self._candidates, None)
            if candidate is None:
                return
            await self._record(await self._outcome(candidate), tried=True)

    async def _outcome(self, candidate: PostmortemCandidate) -> IncidentOutcome:
        incident, options = candidate.incident, self._options
        try:
            if not candidate.is_paid:
                await self._writer.require_room(options.payer)
        except CapReached:
            return IncidentOutcome(incident=incident, kind=OutcomeKind.UNAFFORDABLE)
        try:
            if not candidate.is_paid and await self._is_edited(incident):
                return self._edited(incident)
            stored = await self._writer.write(
                incident,
                template=options.template,
                payer=options.payer,
                refresh_stale=options.selection.refresh_stale,
            )
        except NothingToDo as error:
            return IncidentOutcome(incident=incident, kind=OutcomeKind.ELSEWHERE, note=str(error))
        except CapReached as error:
            return IncidentOutcome(incident=incident, kind=OutcomeKind.UNAFFORDABLE, note=str(error))
        except _FAILURES as error:
            return IncidentOutcome(incident=incident, kind=OutcomeKind.FAILED, note=error_text(error))
        return await self._saved(stored)

    async def _is_edited(self, incident: str) -> bool:
        """Return whether a person has edited the file, so that a new text could not be saved beside it."""
        stored = await self._writer.records.get(incident)
        if stored is None:
            return await asyncio.to_thread(self._files.is_edited, incident)
        return await asyncio.to_thread(self._files.state, stored) is FileState.EDITED

    async def _saved(self, stored: StoredPostmortem) -> IncidentOutcome:
        file, note = None, ""
        try:
            if await asyncio.to_thread(self._files.is_edited, stored.incident):
                # A person began while the model was writing; the database has the model's text.
                note = f"written, but {self._edited(stored.incident).note}"
            else:
                file = await asyncio.to_thread(self._files.write, stored)
        except OSError as error:
            return _without_file(stored, error)
        return IncidentOutcome(
            incident=stored.incident,
            kind=OutcomeKind.WRITTEN,
            file=file,
            model=stored.model,
            cost_usd=stored.cost_usd,
            note=note,
        )

    def _edited(self, incident: str) -> IncidentOutcome:
        file = self._files.path(incident)
        command = f"arcpoint postmortem edit {incident} --file {file}"
        note = f"its file was edited and is left unchanged; `{command}` stores it"
        return IncidentOutcome(incident=incident, kind=OutcomeKind.EDITED, file=file, note=note)

    async def _record(self, outcome: IncidentOutcome, *, tried: bool) -> None:
        self.tally.add(outcome, tried=tried)
        await self._report(outcome, self.tally)


def _without_file(stored: StoredPostmortem, error: OSError) -> IncidentOutcome:
    note = f"stored in the database, but not as a file: {error_text(error)}"
    return IncidentOutcome(incident=stored.incident, kind=OutcomeKind.FAILED, model=stored.model, note=note)
