"""Builds the context of a question: one snapshot, all sources in parallel, each with its own deadline."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime, timedelta

import structlog
from opentelemetry.trace import StatusCode

from context_builder.deadlines import Deadlines
from context_builder.exploration.exploration import Exploration
from context_builder.observation import Observe, ignore, span
from context_builder.prompt.calibration import Calibration
from context_builder.prompt.manifest import Manifest
from context_builder.prompt.packing import pack
from context_builder.prompt.prompt import Prompt
from context_builder.prompt.render import render
from context_builder.question.checks import check_question
from context_builder.question.lookups import Lookups
from context_builder.question.request import ContextRequest, QuestionError, QuestionInput, Window, Wording
from context_builder.question.resolve import resolve
from context_builder.rollups.store import RollupStore
from context_builder.shared_work import SharedWork
from context_builder.source import ContextSource, Section, SourceResult, Status, Stores
from context_builder.telemetry.runbooks import Runbooks
from context_builder.text.clock import utc_now
from context_builder.text.redaction import Redaction
from context_builder.tick.tick import Tick
from context_builder.tick.ticks import Ticks
from context_builder.withholding.gate import load_names, withhold, without_names
from context_builder.withholding.user_names import OtherNames
from memory.incident_memory import IncidentMemory
from models.database import Database
from models.errors import DatabaseError, DatabaseUnreachable
from models.own_rows import NO_USER
from models.snapshot import Snapshots

log = structlog.get_logger(__name__)

MAX_READERS = 4
"""Database connections of one snapshot.

A build is CPU-bound, so that more connections make it no faster, and each costs a millisecond to open. Three
sources may hang in the database while the others are read.
"""
MAX_FREQUENT = 8
"""Kinds of questions for which the next tick is read ahead of them."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

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
        self.redaction = Redaction()
        """Replaces secrets in all that becomes part of a prompt; another one may take its place."""
        self.observe: Observe = ignore
        """Is handed each SourceResult that was read, and the manifest of each context."""
        self.sources = tuple(self._redacted(source) for source in sources)
        self._memory = memory
        self._snapshots = Snapshots(database, readers=min(MAX_READERS, len(self.sources)))
        self._default_budget = default_budget
        self.calibration = calibration or Calibration()
        self._runbooks = runbooks or Runbooks()
        self.rollups = RollupStore()
        self._clock = clock
        self._max_age_s = 0.0
        self._deadlines = Deadlines()
        self._frequent: OrderedDict[ContextRequest, QuestionInput] = OrderedDict()
        self._ticks = Ticks(self._open_tick)

    @asynccontextmanager
    async def shared_ticks(self, max_age_s: float) -> AsyncIterator[None]:
        """Let questions about now share what is read, for up to so many seconds, within the block."""
        own, self._max_age_s = self._ticks, max_age_s
        self._ticks = Ticks(self._open_tick, max_age_s=max_age_s, prepare=self._read_ahead)
        try:
            yield
        finally:
            shared, self._ticks, self._max_age_s = self._ticks, own, 0.0
            await shared.close()

    def expire(self) -> None:
        """Let questions from now on see what this process has just written."""
        self._ticks.expire()

    async def build(self, ask: QuestionInput) -> BuiltContext:
        """Build the context of a question; a failed source does not fail the question.

        Raises:
            QuestionError: The question cannot be answered as asked.
            DatabaseError: The database cannot be read.
        """
        started, asked_at = time.perf_counter(), self._clock()
        check_question(ask.question)
        ask = replace(ask, question=self.redaction(ask.question))
        max_age_s = self._max_age_s if ask.as_of is None else 0.0
        async with self._ticks.live() if max_age_s else self._ticks.alone() as tick:
            age_ms = max(0, round((asked_at - tick.moment) / timedelta(milliseconds=1)))
            built = await tick.work.result(ask, lambda: self._build(ask, tick, max_age_s))
            if any(source.status is Status.TIMEOUT for source in built.manifest.sources):
                tick.work.forget(ask)  # what was too late for this question may be there for the next
            self._note_frequent(ask, built.request)
        build_ms = round((time.perf_counter() - started) * 1000)
        built = replace(built, manifest=replace(built.manifest, build_ms=build_ms, age_ms=age_ms))
        self.observe(built.manifest)
        return built

    async def _build(self, ask: QuestionInput, tick: Tick, max_age_s: float) -> BuiltContext:
        request = replace(await self._resolve(ask, tick), max_age_s=max_age_s)
        results = await self._read_all(request, tick)
        if request.confined_to is not None:
            names = await self._other_names(request.confined_to, tick)
            request, results = await asyncio.to_thread(withhold, ask, request, results, names)
        # Counting and hashing many facts takes time and must not block other questions.
        with span("pack", token_budget=request.token_budget) as packing:
            manifest, prompt = await asyncio.to_thread(self._pack, request, results)
            packing.set_attribute("arcpoint.token_bound", manifest.token_bound)
        return BuiltContext(request, manifest, prompt)

    @asynccontextmanager
    async def _open_tick(self) -> AsyncIterator[Tick]:
        async with AsyncExitStack() as stack:
            snapshot = await stack.enter_async_context(self._snapshots.open())
            moment = self._clock()  # before the rollups follow: nothing later is in the snapshot
            rollups = await stack.enter_async_context(await self.rollups.at(snapshot))
            exploration = await stack.enter_async_context(Exploration(rollups, self._deadlines))
            stores = Stores(snapshot, rollups, self._memory, exploration, self._runbooks)
            work = SharedWork()
            try:
                yield Tick(moment, stores, Lookups(snapshot.session), work)
            finally:
                await work.close()

    def _note_frequent(self, ask: QuestionInput, request: ContextRequest) -> None:
        """Remember the last question of each kind about now."""
        if request.max_age_s:
            window = Window(EPOCH, EPOCH + request.window.length)
            kind = replace(request.narrowed(frozenset({Wording.TOPICS})), as_of=EPOCH, window=window)
            self._frequent[kind] = ask
            self._frequent.move_to_end(kind)
            if len(self._frequent) > MAX_FREQUENT:
                self._frequent.popitem(last=False)

    async def _read_ahead(self, tick: Tick) -> None:
        """Read what was asked since the last tick, once for each kind of question."""
        asked, self._frequent = self._frequent, OrderedDict()
        with span("read ahead", of_nobody=True, questions=len(asked)):
            for ask in reversed(asked.values()):
                with suppress(QuestionError, DatabaseError):
                    request = await self._resolve(ask, tick)
                    await self._read_all(request, tick)

    async def _resolve(self, ask: QuestionInput, tick: Tick) -> ContextRequest:
        """Resolve names and times within RESOLVE_DEADLINE_S, so that a lock cannot block a question."""
        try:
            async with self._deadlines.within(RESOLVE_DEADLINE_S):
                found = await resolve(ask, tick.lookups, now=tick.moment, default_budget=self._default_budget)
                return self.redaction.of(found)
        except TimeoutError:
            raise DatabaseUnreachable(
                f"the database did not respond within {RESOLVE_DEADLINE_S:g} s while names were looked up"
            ) from None
        except QuestionError as error:
            if ask.confined_to is None:
                raise
            names = (await self._other_names(NO_USER, tick)).besides(ask.said)
            raise QuestionError(without_names(str(error), names)) from None  # suggestions name what is known

    async def _other_names(self, user_id: int, tick: Tick) -> OtherNames:
        """Return what other users are called; if that cannot be read, nothing may be shown."""
        return (await tick.lookups.once("names of users", load_names)).of_others(user_id)

    def _pack(self, request: ContextRequest, results: Sequence[SourceResult]) -> tuple[Manifest, Prompt]:
        bound = self.calibration.bound
        manifest = pack(request, results, bound)
        prompt = render(manifest)
        digest = hashlib.sha256(prompt.whole.encode()).hexdigest()
        return replace(manifest, prompt_sha256=digest, bound_terms=bound.terms(*astuple(prompt))), prompt

    async def _read_all(self, request: ContextRequest, tick: Tick) -> list[SourceResult]:
        known = {source.name: tick.known_result(source, request) for source in self.sources}
        async with asyncio.TaskGroup() as group:
            tasks = {
                source.name: group.create_task(self._read(source, request, tick))
                for source in self.sources
                if known[source.name] is None
            }
        return [result or tasks[name].result() for name, result in known.items()]

    async def _read(self, source: ContextSource, request: ContextRequest, tick: Tick) -> SourceResult:
        """Read one source, and report it."""
        with span(f"source {source.name}", source=source.name) as reading:
            result = await self._read_in_time(source, request, tick)
            reading.set_attribute("arcpoint.status", result.status.value)
            reading.set_attribute("arcpoint.facts", len(result.section.facts))
            if result.status.is_failure:
                reading.set_status(StatusCode.ERROR)
        self.observe(result)
        return result

    async def _read_in_time(self, source: ContextSource, request: ContextRequest, tick: Tick) -> SourceResult:
        """Read one source; any failure becomes its status."""
        started = time.perf_counter()

        def result(section: Section, status: Status, error: str | None = None) -> SourceResult:
            return SourceResult(source, section, status, round((time.perf_counter() - started) * 1000), error)

        try:
            async with self._deadlines.within(source.deadline_s):
                section = await tick.section(source, request)
            return result(section, section.status)
        except TimeoutError:
            log.warning("source timed out", source=source.name, deadline_s=source.deadline_s)
            return result(Section(""), Status.TIMEOUT, f"no response within {source.deadline_s:g} s")
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise  # the question itself was cancelled
            return result(Section(""), Status.ERROR, "the source cancelled itself")
        except Exception as error:  # noqa: BLE001  the one broad except: no source may fail the question
            log.warning("source failed", source=source.name, error=self.redaction(repr(error)))
            return result(Section(""), Status.ERROR, self.redaction(_reason(error)))

    def _redacted(self, source: ContextSource) -> ContextSource:
        """Return the source without secrets in what it reads: the one way of stored text into a prompt."""

        async def read(request: ContextRequest, stores: Stores) -> Section:
            return await asyncio.to_thread(self.redaction.of, await source.read(request, stores))

        return replace(source, read=read)


def _reason(error: Exception) -> str:
    """Return the first line of an error message; the log has the rest."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
