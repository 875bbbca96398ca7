"""Polls every target in the process that leads, and stores what follows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random, SystemRandom

import structlog
from sqlalchemy.exc import SQLAlchemyError

from api.errors import ArcpointApiError
from api.ingest.errors import IngestError
from api.ingest.live.group_commit import GroupCommit, Post
from api.ingest.live.ingestor import without_future
from api.pollers.fetching import Fetcher, PollFailed
from api.pollers.kinds import READERS
from api.pollers.poll import Findings, Poll
from api.pollers.schedule import first_pause, pause_after
from api.pollers.states import Known, load_states, store_state
from api.pollers.targets import Target
from context_builder.text.clock import utc_now
from context_builder.text.sanitize import single_line
from models import PollerKind
from models.database import Database
from models.errors import DatabaseError
from models.leadership import Leadership

log = structlog.get_logger(__name__)

CHECK_S = 2.0
"""Interval at which the lead is looked at, or tried for."""
_MAX_AT_ONCE = 16
_WORK = "pollers"


class NotLeading(ArcpointApiError):
    """Another process polls."""


class PollRunner:
    """The pollers of one process; they work while it leads."""

    def __init__(
        self,
        database: Database,
        targets: Sequence[Target],
        fetcher: Fetcher,
        *,
        clock: Callable[[], datetime] = utc_now,
        chance: Random | None = None,
    ) -> None:
        """Nothing is asked before the process leads."""
        self._database = database
        self._targets = targets
        self._fetcher = fetcher
        self._clock = clock
        self._chance = chance or SystemRandom()
        self._commits = GroupCommit(database, wait_s=0)
        self._leadership = Leadership(database, _WORK)
        self._states: dict[str, Known] = {}
        self._at_once = asyncio.Semaphore(_MAX_AT_ONCE)
        self._failure = ""

    async def run(self) -> None:
        """Poll whenever this process leads, until it is cancelled."""
        try:
            while True:
                try:
                    if await self._leadership.is_held():
                        await self._lead()
                    self._note("")
                except (DatabaseError, SQLAlchemyError, OSError) as error:
                    self._note(single_line(str(error)))
                await asyncio.sleep(CHECK_S)
        finally:
            await self._leadership.release()

    async def once(self) -> None:
        """Poll every target once.

        Raises:
            NotLeading: another process polls already.
            DatabaseError: the database is unavailable.
        """
        try:
            if not await self._leadership.is_held():
                raise NotLeading("another process polls already; see `arcpoint poll status`")
            await self._load()
            await asyncio.gather(*map(self._poll, self._targets))
        finally:
            await self._leadership.release()

    async def _lead(self) -> None:
        """Poll until another process may lead."""
        await self._load()
        log.info("polling", targets=len(self._targets))
        polls = [asyncio.create_task(self._poll_on(target)) for target in self._targets]
        try:
            ended: set[asyncio.Task[None]] = set()
            # A poll that found the lead in doubt ends.
            while not ended and await self._leadership.is_held():
                ended, _ = await asyncio.wait(polls, timeout=CHECK_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for poll in polls:
                poll.cancel()
            await asyncio.gather(*polls, return_exceptions=True)

    async def _load(self) -> None:
        self._states = await load_states(self._database, [target.name for target in self._targets])

    async def _poll_on(self, target: Target) -> None:
        known = self._states.get(target.name)
        due_in_s = None if known is None else (known.next_at - self._clock()).total_seconds()
        pause = first_pause(target.every_s, due_in_s, self._chance)
        while True:
            await asyncio.sleep(pause)
            async with self._at_once:
                pause = await self._poll(target)

    async def _poll(self, target: Target) -> float:
        """Poll a target and store what follows; return the seconds to the next poll."""
        at = self._clock()
        known = replace(
            self._states.get(target.name) or Known(polled_at=at, next_at=at), polled_at=at, next_at=at
        )
        retry_after_s = 0.0
        try:
            known, retry_after_s = await self._ask(target, known)
        except (DatabaseError, NotLeading):
            # Whether this process leads is unknown: it must begin again.
            raise
        except PollFailed as error:
            known = known.failed(single_line(str(error)), known.memory)
        except Exception as error:  # noqa: BLE001  one target's failure, whatever it is, is its own
            known = known.failed(f"it could not be read or stored: {single_line(repr(error))}", known.memory)
        before = self._states.get(target.name)
        if known.error and (before is None or before.error != known.error):
            log.warning("poll failed", target=target.name, reason=known.error)
        pause = pause_after(target.every_s, known.failures, retry_after_s, self._chance)
        self._states[target.name] = known = replace(known, next_at=at + timedelta(seconds=pause))
        identity = {"name": target.name, "kind": str(target.kind), "about": target.about}
        try:
            await store_state(self._database, identity, known)
        except (DatabaseError, SQLAlchemyError, OSError) as error:
            log.warning("state of a poll not stored", target=target.name, reason=single_line(str(error)))
        return pause

    async def _ask(self, target: Target, known: Known) -> tuple[Known, float]:
        """Return the state after one request, and for how many seconds the target asks to be left alone."""
        poll = Poll(target=target, at=known.polled_at, memory=known.memory)
        try:
            fetched = await self._fetcher.get(target, known.memory.get("etag", ""))
        except PollFailed as error:
            reason, memory = single_line(str(error)), known.memory
            if error.is_silent:
                memory = (await self._read_and_store(replace(poll, silence=reason))).memory
            return known.failed(reason, memory), error.retry_after_s
        if fetched.body is None:
            return known.succeeded(known.memory, None), 0.0
        answered = replace(poll, body=fetched.body, elapsed_ms=fetched.elapsed_ms)
        findings = await self._read_and_store(answered)
        # Of a server that is the same as before, its health has to be stored all the same.
        has_etag = fetched.etag and target.kind is PollerKind.STATUS_PAGE
        etag = {"etag": fetched.etag} if has_etag else {}
        return known.succeeded(findings.memory | etag, findings.summary), 0.0

    async def _read_and_store(self, poll: Poll) -> Findings:
        """Read a poll and store its records; its memory is to be kept only once they are committed."""
        findings = await asyncio.to_thread(READERS[poll.target.kind], poll)
        decoded = without_future(findings.decoded, poll.at)
        if not await self._leadership.is_held():
            raise NotLeading("another process leads now")
        try:
            await self._commits.store(Post(f"poll {poll.target.name}"[:100], poll.at, decoded))
        except IngestError as error:
            raise PollFailed(f"what it says could not be stored: {error}") from error
        return findings

    def _note(self, failure: str) -> None:
        """Log a lasting failure once."""
        if failure and failure != self._failure:
            log.warning("nothing is polled", reason=failure)
        self._failure = failure
