"""Feeds the policy while a service runs: observations and outlooks in, a verdict table out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random, SystemRandom

import structlog
from sqlalchemy.exc import SQLAlchemyError

from context_builder.queries.errors import QueryTimeout
from context_builder.queries.session import query_session
from context_builder.risk.outlook import Outlook
from context_builder.risk.policy.arms import Arm, arm_at
from context_builder.risk.policy.breaker import BreakerTransition
from context_builder.risk.policy.controller import RiskController
from context_builder.risk.policy.decision import Router
from context_builder.risk.policy.promotion import check_goals, refusal_of
from context_builder.risk.policy.verdicts import VerdictBoard, VerdictTable
from context_builder.risk.records.fleet_traffic import FleetTraffic, TrafficReader
from context_builder.risk.records.matured_forecasts import matured_forecasts
from context_builder.risk.records.stored_outlooks import stored_outlooks
from context_builder.risk.records.transition_log import last_transitions, store_transitions
from context_builder.risk.request_latency import RequestLatency
from context_builder.text.clock import utc_now
from models.database import Database, ReadSession
from models.errors import DatabaseError

log = structlog.get_logger(__name__)

_DEADLINE_S = 5.0
"""Of what one tick reads."""
_UNFED_S = 10.0
"""Age from which a table is old where no ticks come by themselves."""
_JUDGED_EVERY = timedelta(minutes=10)
"""How often promotion is judged again."""
_MAX_UNSTORED = 10_000
"""Transitions kept while the database cannot be written; the newest are."""

Feed = Callable[[datetime], Awaitable[Mapping[int, Outlook]]]
"""Brings a forecaster up to a moment and returns its outlooks by deployment id."""
MakeFeed = Callable[[], Awaitable[Feed]]
"""Loads the forecaster, which takes seconds."""
ReadOutlooks = Callable[[ReadSession, datetime], Awaitable[Mapping[int, Outlook]]]
"""Returns the outlooks of a moment by deployment id."""


class RiskTicker:
    """Owns the policy of one process: its breakers, the board that decisions read, and the router."""

    def __init__(
        self,
        database: Database,
        *,
        every_s: float,
        may_act: bool = False,
        block: timedelta | None = None,
        read_outlooks: ReadOutlooks = stored_outlooks,
        make_feed: MakeFeed | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """Nothing is read before the first tick; with `may_act` the policy acts once promotion is granted.

        With `block` it acts in the blocks of arm B only, to be compared with the others.

        With `make_feed` outlooks come from a forecaster of this process while it ticks, else from the stored
        forecasts of another.
        """
        self.board = VerdictBoard()
        self.router = Router(SystemRandom())
        self.every_s = every_s
        self.is_fed = False
        """True while ticks come by themselves; else a caller that finds an old table looks at the fleet."""
        self.failure = ""
        """Why the last tick failed, in words; empty if it did not."""
        self.refusal = ""
        """Why the policy does not act although it should, in words; empty if nothing is in its way."""
        self._database = database
        self._chance = Random()  # noqa: S311  spreads the returns of deployments, no secret
        self._controller = RiskController(self._chance)
        self._traffic = TrafficReader()
        self._latency = RequestLatency()
        self._read_outlooks = read_outlooks
        self._make_feed = make_feed
        self._fed: Mapping[int, Outlook] | None = None
        """What this process forecasts; None until it does."""
        self._clock = clock
        self._unstored: list[BreakerTransition] = []
        self._is_restored = False
        self._may_act = may_act
        self._block = block
        self._judged_at: datetime | None = None
        self._turn = asyncio.Lock()
        self._ticked = asyncio.Event()

    @asynccontextmanager
    async def ticking(self) -> AsyncIterator[None]:
        """Tick while the context lasts; not at all if the interval is 0."""
        if not self.every_s:
            yield
            return
        tasks = [asyncio.create_task(self._tick_on())]
        if self._make_feed is not None:
            tasks.append(asyncio.create_task(self._feed_on(self._make_feed)))
        for task in tasks:
            task.add_done_callback(_report_end)
        self.is_fed = True
        try:
            yield
        finally:
            self.is_fed = False
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def current(self) -> tuple[VerdictTable, float]:
        """Return the table and its age in seconds, after a tick if there is none or it is old and not fed.

        Raises:
            DatabaseError: A tick was needed, and the database is unavailable.
            QueryTimeout: A tick was needed, and the database is too slow.
        """
        table, age_s = self.board.read()
        if table.moment is None or (age_s > _UNFED_S and not self.is_fed):
            async with self._turn:
                if self.board.table is table:
                    await self._tick()
        return self.board.read()

    async def next_after(self, number: int) -> VerdictTable:
        """Wait for a table that is newer than the numbered one."""
        while self.board.table.number <= number:
            await self._ticked.wait()
        return self.board.table

    async def tick(self) -> None:
        """Make one tick, unless that of this moment was made; if it raises, the table stays as it is.

        Raises:
            DatabaseError: The database is unavailable.
            QueryTimeout: It is too slow.
        """
        async with self._turn:
            await self._tick()

    async def _feed_on(self, make_feed: MakeFeed) -> None:
        """Forecast apart from the ticks: the first look at a day takes longer than a tick may."""
        feed, logged = await make_feed(), ""
        while True:
            try:
                self._fed, logged = await feed(self._clock()), ""
            except (DatabaseError, QueryTimeout, SQLAlchemyError, OSError) as error:
                reason = str(error).splitlines()[0]
                if reason != logged:
                    log.warning("no forecasts", reason=reason)
                logged = reason
            await asyncio.sleep(self.every_s)

    async def _tick_on(self) -> None:
        while True:
            try:
                await self.tick()
                self._note("")
            except (DatabaseError, QueryTimeout, SQLAlchemyError, OSError) as error:
                self._note(f"the fleet cannot be observed: {str(error).splitlines()[0]}")
            await asyncio.sleep(self.every_s)

    def _note(self, failure: str) -> None:
        """Log a lasting failure once; the age of the table tells every reader of it."""
        if failure and failure != self.failure:
            log.warning("routing policy", reason=failure)
        self.failure = failure

    async def _tick(self) -> None:
        moment = self._clock()
        if self.every_s:
            # Workers that tick at the same moments, with the same chance, reach the same transitions.
            seconds = moment.timestamp() // self.every_s * self.every_s
            moment = datetime.fromtimestamp(seconds, moment.tzinfo)
        if moment == self.board.table.moment:
            return
        self._chance.seed(moment.timestamp())
        async with query_session(self._database, deadline_s=_DEADLINE_S) as session:
            if not self._is_restored:
                self._controller.restore(await last_transitions(session, moment), moment)
                self._is_restored = True
            if self._may_act and _is_due(self._judged_at, moment):
                forecasts = await matured_forecasts(session, moment)
                self.refusal = await asyncio.to_thread(lambda: refusal_of(check_goals(forecasts)))
                self._judged_at = moment
            is_compared = self._block is not None and arm_at(moment, self._block) is Arm.A
            self._controller.shadow = not self._may_act or bool(self.refusal) or is_compared
            by_id = self._fed if self._fed is not None else await self._read_outlooks(session, moment)
            limits = {key: each.limit_ms for key, each in by_id.items() if each.limit_ms is not None}
            fleet = await self._traffic.read(session, moment, limits)
        outlooks = {name: by_id[key] for name, key in fleet.ids.items() if key in by_id}
        # In a thread: thousands of deployments take as many breakers.
        table, transitions = await asyncio.to_thread(
            self._controller.tick, moment, fleet.base, fleet.observed, outlooks, fleet.down
        )
        latency = await asyncio.to_thread(self._learn, fleet)
        self.board.post(replace(table, latency=latency))
        self._ticked.set()
        self._ticked = asyncio.Event()
        self._unstored = [*self._unstored, *transitions][-_MAX_UNSTORED:]
        await self._store(fleet)

    def _learn(self, fleet: FleetTraffic) -> RequestLatency:
        """Take in the requests that ended; return what is known until the next tick."""
        self._latency.keep(fleet.base)
        for each in fleet.ended:
            self._latency.learn(each)
        return self._latency.copy()

    async def _store(self, fleet: FleetTraffic) -> None:
        """Store the transitions, with those that could not be stored before."""
        if not self._unstored or self._database.read_only:
            return
        shadow = self._controller.shadow
        try:
            async with self._database.write() as session:
                await store_transitions(session, self._unstored, fleet.ids, shadow=shadow)
        except (DatabaseError, SQLAlchemyError, OSError) as error:
            log.warning(
                "transitions not stored yet", count=len(self._unstored), reason=str(error).splitlines()[0]
            )
        else:
            self._unstored = []


def _report_end(task: asyncio.Task[None]) -> None:
    """Log an error that nothing foresaw: the task has ended, and the table will grow old."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("the routing policy has stopped", reason=repr(error))


def _is_due(judged_at: datetime | None, moment: datetime) -> bool:
    return judged_at is None or abs(moment - judged_at) >= _JUDGED_EVERY
