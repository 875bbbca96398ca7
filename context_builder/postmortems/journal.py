"""The journal of calls on the way to postmortems: whoever holds an incident's row may pay for its call.

One row for each incident: claimed, then built, sent and replied to. Each step is a transaction of its own, so
that a process that is killed leaves behind exactly what it had reached, and the next one goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import ColumnElement, CursorResult, Update, delete, select, update
from sqlalchemy.exc import SQLAlchemyError

from context_builder.errors import ContextBuilderError
from context_builder.llm.chat_model import Reply
from context_builder.postmortems.process import is_dead, this_process
from context_builder.postmortems.template import Template
from context_builder.prompt.manifest import Manifest
from context_builder.text.clock import utc_now
from context_builder.text.sanitize import storable
from models import PostmortemCall
from models.database import Database, WriteSession
from models.request_log import dialect_of

LEASE = timedelta(minutes=5)
"""How long a process that says nothing keeps what it holds, where nobody can see whether it is dead."""

_MAX_MODEL = 100
_MAX_REASON = 50


class CallLost(ContextBuilderError):
    """The lease had run out, and another process holds the incident now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is decided before the call: with a reply to it the document can be written."""

    manifest: Manifest
    """What the prompt was rendered from."""
    template: Template
    incident_digest: str
    """Of the incident as the prompt has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidReply:
    """A reply with what it cost by the prices of its day."""

    reply: Reply
    cost_usd: Decimal


_PLAN = TypeAdapter(Plan)
_REPLY = TypeAdapter(PaidReply)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One row of the journal, held by this process."""

    id: int
    incident_id: int
    custom_id: str
    """By it a batch's result finds its incident."""
    batch_id: int | None = None
    worst_cost_usd: Decimal = Decimal(0)
    plan: Plan | None = None
    """None: not built yet, or by another version."""
    reply: PaidReply | None = None
    """None: none has arrived, or it is not known."""
    attempts: int = 0

    @classmethod
    def of(cls, row: PostmortemCall) -> Call:
        """The call that a row describes."""
        return cls(
            id=row.id,
            incident_id=row.incident_id,
            custom_id=row.custom_id,
            batch_id=row.batch_id,
            worst_cost_usd=row.worst_cost_usd,
            plan=_plan(row.manifest),
            reply=None if row.reply is None else _REPLY.validate_python(row.reply),
            attempts=row.attempts,
        )


class CallJournal:
    """Claims incidents and keeps what is known of their calls."""

    def __init__(
        self,
        database: Database,
        *,
        owner: str | None = None,
        lease: timedelta = LEASE,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """`owner` is this process unless a test says otherwise."""
        self._database = database
        self._owner = owner
        self._lease = lease
        self._clock = clock

    async def claim(self, incident_id: int) -> Call | None:
        """The incident's call, now held by this process; None: another one, still alive, works on it.

        A call whose owner is dead, or whose lease has run out, comes as far as it had got: with its plan, and
        with its reply. One that waits for a batch's result is nobody's until the result is there.
        What was read of the incident before the claim may have changed since: another process may have
        finished it in between. Read again.
        """
        owner = await self.me()
        now = self._clock()
        async with self._database.write() as session:
            insert = dialect_of(session).insert(PostmortemCall).on_conflict_do_nothing()
            values = {
                "incident_id": incident_id,
                "custom_id": f"pm_{uuid4().hex}",
                "owner": owner,
                "leased_until": now + self._lease,
                "worst_cost_usd": Decimal(0),
                "attempts": 0,
                "claimed_at": now,
            }
            await session.execute(insert.values(values))
            row = await session.scalar(
                select(PostmortemCall).where(PostmortemCall.incident_id == incident_id).with_for_update()
            )
            if row is None:
                return None
            is_new = row.custom_id == values["custom_id"]
            if not is_new and not await self._may_be_taken(row, now):
                return None
            row.owner, row.leased_until = owner, now + self._lease
            return Call.of(row)

    @staticmethod
    async def _may_be_taken(row: PostmortemCall, now: datetime) -> bool:
        if row.batch_id is not None and row.reply is None:
            return False
        return row.leased_until <= now or await asyncio.to_thread(is_dead, row.owner)

    async def is_in_batch(self, incident_id: int) -> bool:
        """Whether the incident's call waits for a batch's result."""
        waits = (
            (PostmortemCall.incident_id == incident_id)
            & PostmortemCall.batch_id.is_not(None)
            & PostmortemCall.reply.is_(None)
        )
        async with self._database.read() as session:
            return await session.scalar(select(PostmortemCall.id).where(waits)) is not None

    async def built(self, call: Call, plan: Plan, worst_cost_usd: Decimal) -> Call:
        """Keeps what the call will be, and the most that it can cost. Raises CallLost."""
        document = _PLAN.dump_python(plan, mode="json")
        await self._change_mine(call, manifest=document, worst_cost_usd=worst_cost_usd)
        return replace(call, plan=plan, worst_cost_usd=worst_cost_usd)

    async def sent(self, call: Call) -> Call:
        """Notes that the call is about to be made. Raises CallLost: then it must not be made."""
        await self._change_mine(call, attempts=call.attempts + 1)
        return replace(call, attempts=call.attempts + 1)

    async def replied(self, call: Call, reply: PaidReply) -> Call | None:
        """Keeps a reply, in a transaction of its own: the first thing to be done with it.

        None: the call is over, or another process that took it over has a reply already. This one is paid
        for all the same, and only the caller knows it.
        """
        reply = _storable(reply)
        document = _REPLY.dump_python(reply, mode="json")
        is_open = (PostmortemCall.id == call.id) & PostmortemCall.reply.is_(None)
        kept = await self._change(is_open, reply=document, replied_at=self._clock())
        return replace(call, reply=reply) if kept else None

    async def _change_mine(self, call: Call, **values: object) -> None:
        is_mine = (PostmortemCall.id == call.id) & (PostmortemCall.owner == await self.me())
        if not await self._change(is_mine, **values):
            raise CallLost("another run has taken it over")

    async def _change(self, condition: ColumnElement[bool], **values: object) -> bool:
        statement = update(PostmortemCall).where(condition).values(**values)
        async with self._database.write() as session:
            return await _changed(session, statement)

    async def join_batch_in(self, session: WriteSession, calls: Sequence[Call], batch_id: int) -> None:
        """Puts calls into a batch, within the caller's transaction: from now on they wait for its results."""
        ids = [call.id for call in calls]
        await session.execute(
            update(PostmortemCall)
            .where(PostmortemCall.id.in_(ids))
            .values(batch_id=batch_id, attempts=PostmortemCall.attempts + 1)
        )

    async def of_batch(
        self, batch_id: int, *, custom_ids: Collection[str] | None = None, limit: int = 200
    ) -> tuple[Call, ...]:
        """Calls of a batch that wait for its results; `custom_ids` restricts them to these."""
        statement = select(PostmortemCall).where(
            PostmortemCall.batch_id == batch_id, PostmortemCall.reply.is_(None)
        )
        if custom_ids is not None:
            statement = statement.where(PostmortemCall.custom_id.in_(custom_ids))
        async with self._database.read() as session:
            rows = await session.scalars(statement.order_by(PostmortemCall.id).limit(limit))
            return tuple(Call.of(row) for row in rows)

    async def finish_in(self, session: WriteSession, call: Call) -> bool:
        """Ends the call within the transaction that stores what came of it.

        False: another process has ended it; the caller must roll back.
        """
        result = await session.execute(delete(PostmortemCall).where(PostmortemCall.id == call.id))
        assert isinstance(result, CursorResult)  # noqa: S101  what a DELETE gives
        return result.rowcount == 1

    async def release(self, call: Call) -> None:
        """Gives a call back: without a reply the next run begins it anew, with one it goes on at once."""
        mine = PostmortemCall.id == call.id, PostmortemCall.owner == await self.me()
        async with self._database.write() as session:
            await session.execute(delete(PostmortemCall).where(*mine, PostmortemCall.reply.is_(None)))
            await session.execute(update(PostmortemCall).where(*mine).values(leased_until=self._clock()))

    @asynccontextmanager
    async def held(self, calls: Collection[Call]) -> AsyncIterator[None]:
        """Renews the leases of calls for as long as the block runs."""
        renewing = asyncio.create_task(self._renew([call.id for call in calls]))
        try:
            yield
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing

    async def _renew(self, ids: Collection[int]) -> None:
        owner = await self.me()
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 3)
            mine = PostmortemCall.id.in_(ids), PostmortemCall.owner == owner
            until = self._clock() + self._lease
            # A lease that cannot be renewed now is tried again; it runs out only when all tries fail.
            with suppress(SQLAlchemyError, OSError):
                async with self._database.write() as session:
                    await session.execute(update(PostmortemCall).where(*mine).values(leased_until=until))

    async def me(self) -> str:
        """The name under which this process holds calls."""
        if self._owner is None:
            self._owner = await asyncio.to_thread(this_process)
        return self._owner


async def _changed(session: WriteSession, statement: Update) -> bool:
    result = await session.execute(statement)
    assert isinstance(result, CursorResult)  # noqa: S101  what an UPDATE gives
    return result.rowcount == 1


def _plan(stored: dict[str, Any] | None) -> Plan | None:
    """The plan; None where there is none, or another version has written it."""
    try:
        return None if stored is None else _PLAN.validate_python(stored)
    except ValidationError:
        return None


def _storable(paid: PaidReply) -> PaidReply:
    """The reply without what a database refuses, which must not cost a text that is paid for."""
    reply = paid.reply

    return replace(
        paid,
        reply=replace(
            reply,
            text=storable(reply.text),
            model=storable(reply.model)[:_MAX_MODEL],
            stop_reason=storable(reply.stop_reason)[:_MAX_REASON],
            request_id=reply.request_id and storable(reply.request_id),
        ),
    )
