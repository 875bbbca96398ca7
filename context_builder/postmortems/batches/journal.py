"""The journal of batches: which calls wait for which batch's results, and who may submit them.

A batch is stored with its calls before it is handed over, and gets the API's name after that. One without a
name may have been taken by the API all the same: nothing of it is submitted again before that is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import TypeVar

from sqlalchemy import ColumnElement, CursorResult, delete, exists, func, select, update
from sqlalchemy.exc import SQLAlchemyError

from context_builder.postmortems.journal import LEASE, Call, CallJournal, CallLost
from context_builder.postmortems.process import is_dead
from context_builder.text.clock import utc_now
from models import Incident, PostmortemBatch, PostmortemCall
from models.database import Database, WriteSession

_PER_STATEMENT = 10_000
"""SQLite and PostgreSQL both take at least 32,000 bound values in a statement."""
_PAGE = 100
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenBatch:
    """A batch of which not everything has been collected and written."""

    id: int
    api_id: str | None
    """None: nobody knows whether the API took it."""
    model: str
    created_at: datetime
    waiting: int
    """Calls without a result."""
    replied: int
    """Calls whose reply is stored and whose document is not."""
    worst_cost_usd: Decimal
    """The most that the calls without a result can cost."""


class BatchJournal:
    """Keeps batches beside the calls of one journal."""

    def __init__(
        self, database: Database, calls: CallJournal, *, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._database = database
        self._calls = calls
        self._clock = clock

    async def open(self) -> tuple[OpenBatch, ...]:
        """All batches that are not closed, oldest first."""
        waits = PostmortemCall.reply.is_(None) & PostmortemCall.id.is_not(None)
        worst = func.sum(PostmortemCall.worst_cost_usd).filter(waits)
        statement = (
            select(
                PostmortemBatch,
                func.count(PostmortemCall.id).filter(waits).label("waiting"),
                func.count(PostmortemCall.reply).label("replied"),
                worst.label("worst"),
            )
            .outerjoin(PostmortemCall, PostmortemCall.batch_id == PostmortemBatch.id)
            .where(PostmortemBatch.ended_at.is_(None))
            .group_by(PostmortemBatch.id)
            .order_by(PostmortemBatch.id)
        )
        async with self._database.read() as session:
            return tuple(
                OpenBatch(
                    id=batch.id,
                    api_id=batch.api_id,
                    model=batch.model,
                    created_at=batch.created_at,
                    waiting=waiting,
                    replied=replied,
                    worst_cost_usd=worst_cost or Decimal(0),
                )
                for batch, waiting, replied, worst_cost in await session.execute(statement)
            )

    async def begin(self, calls: Sequence[Call], model: str) -> int:
        """Stores a batch of calls that this process holds, about to be handed over. Raises CallLost."""
        owner = await self._calls.me()
        async with self._database.write() as session:
            batch = PostmortemBatch(model=model, created_at=self._clock())
            session.add(batch)
            await session.flush()
            for some in _in_parts(call.id for call in calls):
                mine = (
                    PostmortemCall.id.in_(some),
                    PostmortemCall.owner == owner,
                    PostmortemCall.batch_id.is_(None),
                    PostmortemCall.reply.is_(None),
                )
                joining = (
                    update(PostmortemCall)
                    .where(*mine)
                    .values(batch_id=batch.id, attempts=PostmortemCall.attempts + 1)
                )
                result = await session.execute(joining)
                assert isinstance(result, CursorResult)  # noqa: S101  what an UPDATE gives
                if result.rowcount != len(some):
                    raise CallLost("another run has taken some of the incidents over")
            return batch.id

    async def accepted(self, batch_id: int, api_id: str) -> None:
        """Keeps the name that the API has given the batch."""
        statement = update(PostmortemBatch).where(PostmortemBatch.id == batch_id).values(api_id=api_id)
        async with self._database.write() as session:
            await session.execute(statement)

    async def dissolve(self, batch_id: int) -> None:
        """Forgets a batch that the API did not take, which was no attempt; its calls can be claimed again."""
        async with self._database.write() as session:
            unnamed = (PostmortemBatch.id == batch_id) & PostmortemBatch.api_id.is_(None)
            # Whoever looked after it before may have named it a moment ago.
            if await session.scalar(select(PostmortemBatch.id).where(unnamed).with_for_update()) is None:
                return
            fewer = PostmortemCall.attempts - 1
            await _free(session, PostmortemCall.batch_id == batch_id, self._clock(), attempts=fewer)
            await session.execute(delete(PostmortemBatch).where(unnamed))

    async def give_back(self, calls: Sequence[Call]) -> None:
        """Lets the next run have calls that this process holds and has not put into a batch."""
        owner, now = await self._calls.me(), self._clock()
        async with self._database.write() as session:
            for some in _in_parts(call.id for call in calls):
                mine = (
                    PostmortemCall.id.in_(some)
                    & (PostmortemCall.owner == owner)
                    & PostmortemCall.batch_id.is_(None)
                    & PostmortemCall.reply.is_(None)
                )
                await session.execute(delete(PostmortemCall).where(mine, PostmortemCall.attempts == 0))
                # What was handed over before in vain stays counted.
                await _free(session, mine, now)

    async def release(
        self, batch_id: int, custom_ids: Collection[str] | None = None
    ) -> tuple[tuple[str, Decimal], ...]:
        """Gives back calls that will get no reply, all by default; gives incidents and worst costs.

        The rows stay, with their plans and the number of attempts, for the next run to claim.
        """
        parts = [None] if custom_ids is None else list(_in_parts(custom_ids))
        released: list[tuple[str, Decimal]] = []
        async with self._database.write() as session:
            for some in parts:
                chosen = (PostmortemCall.batch_id == batch_id) & PostmortemCall.reply.is_(None)
                if some is not None:
                    chosen &= PostmortemCall.custom_id.in_(some)
                incidents = select(Incident.public_id, PostmortemCall.worst_cost_usd).join(
                    PostmortemCall, PostmortemCall.incident_id == Incident.id
                )
                rows = await session.execute(incidents.where(chosen).order_by(Incident.id))
                released += [(row.public_id, row.worst_cost_usd) for row in rows]
                await _free(session, chosen, self._clock())
        return tuple(released)

    async def close(self, batch_id: int) -> bool:
        """Notes that everything of a batch has been collected and written, if that is so."""
        left = exists().where(PostmortemCall.batch_id == batch_id)
        statement = (
            update(PostmortemBatch)
            .where(PostmortemBatch.id == batch_id, ~left)
            .values(ended_at=self._clock())
        )
        async with self._database.write() as session:
            result = await session.execute(statement)
            assert isinstance(result, CursorResult)  # noqa: S101  what an UPDATE gives
            return result.rowcount == 1

    async def known(self, api_ids: Collection[str]) -> frozenset[str]:
        """Those of the API's names that belong to batches of ours."""
        found: set[str] = set()
        async with self._database.read() as session:
            for some in _in_parts(api_ids):
                statement = select(PostmortemBatch.api_id).where(PostmortemBatch.api_id.in_(some))
                found |= {api_id for api_id in await session.scalars(statement) if api_id is not None}
        return frozenset(found)

    async def calls(self, batch_id: int, *, replied: bool = False) -> AsyncIterator[Call]:
        """The calls of a batch that wait for results, or those that have one, read by pages."""
        after = 0
        has_reply = PostmortemCall.reply.is_not(None) if replied else PostmortemCall.reply.is_(None)
        while True:
            statement = (
                select(PostmortemCall)
                .where(PostmortemCall.batch_id == batch_id, has_reply, PostmortemCall.id > after)
                .order_by(PostmortemCall.id)
                .limit(_PAGE)
            )
            async with self._database.read() as session:
                page = [Call.of(row) for row in await session.scalars(statement)]
            for call in page:
                yield call
            if len(page) < _PAGE:
                return
            after = page[-1].id

    async def custom_ids(self, batch_id: int) -> frozenset[str]:
        """By what the results of a batch's calls can be told from those of others."""
        statement = select(PostmortemCall.custom_id).where(PostmortemCall.batch_id == batch_id)
        async with self._database.read() as session:
            return frozenset(await session.scalars(statement))

    async def public_id(self, call: Call) -> str:
        """The incident of a call."""
        statement = select(Incident.public_id).where(Incident.id == call.incident_id)
        async with self._database.read() as session:
            return (await session.scalars(statement)).one()

    async def progress(self, public_ids: Collection[str]) -> dict[str, tuple[bool, int]]:
        """Of incidents that have a call: whether it waits for a batch, and how often it was handed over."""
        found: dict[str, tuple[bool, int]] = {}
        statement = (
            select(Incident.public_id, PostmortemCall.batch_id, PostmortemCall.attempts)
            .join(PostmortemCall, PostmortemCall.incident_id == Incident.id)
            .where(PostmortemCall.reply.is_(None))
        )
        async with self._database.read() as session:
            for some in _in_parts(public_ids):
                rows = await session.execute(statement.where(Incident.public_id.in_(some)))
                found |= {row.public_id: (row.batch_id is not None, row.attempts) for row in rows}
        return found

    async def take_over(self, batch_id: int) -> bool | None:
        """Makes an unnamed batch this process's own to look after; None: it is already.

        False: the process that hands it over is alive, or may be until its lease has run out.
        """
        owner, now = await self._calls.me(), self._clock()
        async with self._database.write() as session:
            # Of several that find it at the same time one takes it.
            await session.execute(
                select(PostmortemBatch.id).where(PostmortemBatch.id == batch_id).with_for_update()
            )
            holders = (
                select(PostmortemCall.owner, func.max(PostmortemCall.leased_until))
                .where(PostmortemCall.batch_id == batch_id)
                .group_by(PostmortemCall.owner)
            )
            others = {name: until for name, until in await session.execute(holders) if name != owner}
            if not others:
                return None
            for name, until in others.items():
                if until > now and not await asyncio.to_thread(is_dead, name):
                    return False
            await session.execute(
                update(PostmortemCall)
                .where(PostmortemCall.batch_id == batch_id)
                .values(owner=owner, leased_until=now + LEASE)
            )
            return True

    async def may_finish(self, call: Call) -> bool:
        """Whether a call with a reply is this process's to finish; makes it so where nobody else does."""
        owner, now = await self._calls.me(), self._clock()
        # Not by claiming the incident: finished a moment ago, it would be begun anew.
        this = PostmortemCall.id == call.id
        async with self._database.write() as session:
            row = await session.scalar(select(PostmortemCall).where(this).with_for_update())
            if row is None:
                return False
            if row.owner != owner:
                if row.leased_until > now and not await asyncio.to_thread(is_dead, row.owner):
                    return False
                row.owner, row.leased_until = owner, now + LEASE
            return True

    @asynccontextmanager
    async def holding(self) -> AsyncIterator[None]:
        """Renews the leases of everything that this process holds, for as long as the block runs."""
        renewing = asyncio.create_task(self._renew())
        try:
            yield
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing

    async def _renew(self) -> None:
        owner = await self._calls.me()
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 3)
            statement = (
                update(PostmortemCall)
                .where(PostmortemCall.owner == owner)
                .values(leased_until=self._clock() + LEASE)
            )
            # A lease that cannot be renewed now is tried again; it runs out only when all tries fail.
            with suppress(SQLAlchemyError, OSError):
                async with self._database.write() as session:
                    await session.execute(statement)


async def _free(
    session: WriteSession,
    chosen: ColumnElement[bool],
    now: datetime,
    *,
    attempts: object = PostmortemCall.attempts,
) -> None:
    """Takes calls out of their batch, for anyone to claim."""
    values = {"batch_id": None, "leased_until": now, "attempts": attempts}
    await session.execute(update(PostmortemCall).where(chosen).values(**values))


def _in_parts(values: Collection[_T] | Iterator[_T]) -> Iterator[list[_T]]:
    """Lists of as many as a statement takes."""
    rest = iter(values)
    while part := list(islice(rest, _PER_STATEMENT)):
        yield part
