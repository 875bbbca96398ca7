"""Builds the context of a question: one snapshot, all sources in parallel, each with its own deadline."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import datetime

import structlog

from context_builder.exploration.exploration import Exploration
from context_builder.prompt.calibration import Calibration
from context_builder.prompt.manifest import Manifest
from context_builder.prompt.packing import pack
from context_builder.prompt.prompt import Prompt
from context_builder.prompt.render import render
from context_builder.question.checks import check_question
from context_builder.question.request import ContextRequest, QuestionInput
from context_builder.question.resolve import resolve
from context_builder.rollups.store import RollupStore
from context_builder.source import ContextSource, Section, SourceResult, Status, Stores
from context_builder.telemetry.runbooks import Runbooks
from context_builder.text.clock import utc_now
from memory.incident_memory import IncidentMemory
from models.database import Database
from models.errors import DatabaseUnreachable
from models.snapshot import Snapshot, Snapshots

log = structlog.get_logger(__name__)

MAX_READERS = 8
"""Database connections of one question.

A build is CPU-bound, so that more connections make it no faster. Seven sources may hang in the database while
the others are read.
"""

RESOLVE_DEADLINE_S = 10.0
"""Far above the duration of a few lookups by key."""


@dataclass(frozen=True, slots=True)
class BuiltContext:
    """A resolved question with its prompt."""

    request: ContextRequest
    manifest: Manifest
    prompt: Prompt


class ContextBuilder:
    """Builds the prompt of a question."""

    def __init__(
        self,
        database: Database,
        memory: IncidentMemory,
        sources: Sequence[ContextSource],
        *,
        default_budget: int,
        calibration: Calibration | None = None,
        runbooks: Runbooks | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """Create a builder; `default_budget` is the token budget of questions that set none."""
        self.sources = tuple(sources)
        self._memory = memory
        self._snapshots = Snapshots(database, readers=min(MAX_READERS, len(self.sources)))
        self._default_budget = default_budget
        self.calibration = calibration or Calibration()
        self._runbooks = runbooks or Runbooks()
        self.rollups = RollupStore()
        self._clock = clock

    async def build(self, ask: QuestionInput) -> BuiltContext:
        """Build the context of a question; a failed source does not fail the question.

        Raises:
            QuestionError: The question cannot be answered as asked.
            DatabaseError: The database cannot be read.
        """
        started = time.perf_counter()
        check_question(ask.question)
        async with self._snapshots.open() as snapshot:
            now = self._clock()
            request = await self._resolve(ask, snapshot, now)
            async with (
                await self.rollups.at(snapshot) as rollups,
                Exploration(rollups) as exploration,
                asyncio.TaskGroup() as group,
            ):
                stores = Stores(snapshot, rollups, self._memory, exploration, self._runbooks)
                tasks = [group.create_task(self._read(source, request, stores)) for source in self.sources]
        # Counting and hashing many facts takes time and must not block other questions.
        manifest, prompt = await asyncio.to_thread(self._pack, request, [task.result() for task in tasks])
        build_ms = round((time.perf_counter() - started) * 1000)
        return BuiltContext(request, replace(manifest, build_ms=build_ms), prompt)

    async def _resolve(self, ask: QuestionInput, snapshot: Snapshot, now: datetime) -> ContextRequest:
        """Resolve names and times within RESOLVE_DEADLINE_S, so that a lock cannot block a question."""
        try:
            async with asyncio.timeout(RESOLVE_DEADLINE_S), snapshot.session() as session:
                return await resolve(ask, session, now=now, default_budget=self._default_budget)
        except TimeoutError:
            raise DatabaseUnreachable(
                f"the database did not respond within {RESOLVE_DEADLINE_S:g} s while names were looked up"
            ) from None

    def _pack(self, request: ContextRequest, results: Sequence[SourceResult]) -> tuple[Manifest, Prompt]:
        bound = self.calibration.bound
        manifest = pack(request, results, bound)
        prompt = render(manifest)
        digest = hashlib.sha256(prompt.whole.encode()).hexdigest()
        return replace(manifest, prompt_sha256=digest, bound_terms=bound.terms(*astuple(prompt))), prompt

    async def _read(self, source: ContextSource, request: ContextRequest, stores: Stores) -> SourceResult:
        """Read one source; any failure becomes its status."""
        started = time.perf_counter()

        def result(section: Section, status: Status, error: str | None = None) -> SourceResult:
            return SourceResult(source, section, status, round((time.perf_counter() - started) * 1000), error)

        try:
            async with asyncio.timeout(source.deadline_s):
                section = await source.read(request, stores)
            return result(section, section.status)
        except TimeoutError:
            log.warning("source timed out", source=source.name, deadline_s=source.deadline_s)
            return result(Section(""), Status.TIMEOUT, f"no response within {source.deadline_s:g} s")
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise  # the question itself was cancelled
            return result(Section(""), Status.ERROR, "the source cancelled itself")
        except Exception as error:  # noqa: BLE001  the one broad except: no source may fail the question
            log.warning("source failed", source=source.name, error=repr(error))
            return result(Section(""), Status.ERROR, _reason(error))


def _reason(error: Exception) -> str:
    """Return the first line of an error message; the log has the rest."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
