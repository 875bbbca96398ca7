"""The journal of postmortem calls: only the owner of an incident's row may pay for its call.

One row per incident: claimed, built, sent, replied to. Each step is its own transaction, so a killed process
leaves exactly what it had reached, and the next one continues from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from uuid import uuid4

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import ColumnElement, Delete, Update, delete, select, update
from sqlalchemy.engine import CursorResult

from context_builder.jobs.lease import Lease, LeaseLost
from context_builder.llm.chat_model import Reply
from context_builder.postmortems.template import Template
from context_builder.prompt.manifest import Manifest
from context_builder.text.sanitize import storable
from models import PostmortemCall
from models.database import Database, WriteSession
from models.request_log import dialect_of

_MAX_MODEL_CHARACTERS = 100
_MAX_REASON_CHARACTERS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentPlan:
    """Everything that is decided before the call; together with a reply it gives the document."""

    manifest: Manifest
    """What the prompt is rendered from."""
    template: Template
    incident_digest: str
    """Digest of the incident as the prompt shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidReply:
    """A reply, and its cost at the prices of the day."""

    reply: Reply
    cost_usd: Decimal


_PLAN = TypeAdapter(DocumentPlan)
_REPLY = TypeAdapter(PaidReply)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedCall:
    """One row of the journal."""

    id: int
    incident_id: int
    custom_id: str
    """Identifies the call in the results of a batch."""
    batch_id: int | None = None
    worst_cost_usd: Decimal = Decimal(0)
    plan: DocumentPlan | None = None
    """None: not built yet, or built by another version."""
    reply: PaidReply | None = None
    """None: no reply has been stored."""

    @property
    def built_plan(self) -> DocumentPlan:
        """The plan of a call that has been built."""
        if self.plan is None:
            raise ValueError("the call has not been built")
        return self.plan

    @classmethod
    def of(cls, row: PostmortemCall) -> ClaimedCall:
        """Return the call of a row."""
        return cls(
            id=row.id,
            incident_id=row.incident_id,
            custom_id=row.custom_id,
            batch_id=row.batch_id,
            worst_cost_usd=row.worst_cost_usd,
            plan=_plan(row.manifest),
            reply=None if row.reply is None else _REPLY.validate_python(row.reply),
        )


class CallJournal:
    """Claims incidents and stores the state of their calls."""

    def __init__(self, database: Database, lease: Lease | None = None) -> None:
        self.lease = lease or Lease()
        self._database = database

    async def claim(self, incident_id: int) -> ClaimedCall | None:
        """Claim an incident's call for this process. Returns None if another living process owns it.

        A call whose owner is dead or whose lease expired comes with the plan and reply it had. A call that
        waits for the result of a batch belongs to nobody. Read the incident again after the claim: another
        process may have finished it in between.
        """
        mine, custom_id = await self.lease.mine(), f"pm_{uuid4().hex}"
        values = {
            "incident_id": incident_id,
            "custom_id": custom_id,
            "worst_cost_usd": Decimal(0),
            "attempts": 0,
            "claimed_at": self.lease.clock(),
        }
        async with self._database.write() as session:
            insert = dialect_of(session).insert(PostmortemCall).on_conflict_do_nothing()
            await session.execute(insert.values(values | mine))
            row = await session.scalar(
                select(PostmortemCall).where(PostmortemCall.incident_id == incident_id).with_for_update()
            )
            if row is None:
                return None
            if row.custom_id != custom_id:
                waits_for_batch = row.batch_id is not None and row.reply is None
                if waits_for_batch or not await self.lease.is_free(row.owner, row.leased_until):
                    return None
            await session.execute(update(PostmortemCall).where(PostmortemCall.id == row.id).values(mine))
            return ClaimedCall.of(row)

    async def is_in_batch(self, incident_id: int) -> bool:
        """Return whether the incident's call waits for the result of a batch."""
        waits = (
            PostmortemCall.incident_id == incident_id,
            PostmortemCall.batch_id.is_not(None),
            PostmortemCall.reply.is_(None),
        )
        async with self._database.read() as session:
            return await session.scalar(select(PostmortemCall.id).where(*waits)) is not None

    async def built(self, call: ClaimedCall, plan: DocumentPlan, worst_cost_usd: Decimal) -> ClaimedCall:
        """Store the plan of the call and the most it can cost.

        Raises:
            LeaseLost: another process owns the call now.
        """
        document = _PLAN.dump_python(plan, mode="json")
        await self._change_mine(call, manifest=document, worst_cost_usd=worst_cost_usd)
        return replace(call, plan=plan, worst_cost_usd=worst_cost_usd)

    async def confirm(self, call: ClaimedCall) -> None:
        """Renew the lease right before the call is sent.

        Raises:
            LeaseLost: another process owns the call now; it must not be sent.
        """
        await self._change_mine(call, **await self.lease.mine())

    async def replied(self, call: ClaimedCall, reply: PaidReply) -> ClaimedCall | None:
        """Store a reply in its own transaction, before anything else is done with it.

        Returns None if the call is over, or if another process that took it over has stored a reply already.
        This reply is still paid for, and only the caller has it.
        """
        reply = _storable(reply)
        document = _REPLY.dump_python(reply, mode="json")
        is_open = (PostmortemCall.id == call.id) & PostmortemCall.reply.is_(None)
        stored = await self._change(is_open, reply=document, replied_at=self.lease.clock())
        return replace(call, reply=reply) if stored else None

    async def finish_in(self, session: WriteSession, call: ClaimedCall) -> bool:
        """End the call in the transaction that stores its result.

        Returns False if another process has ended it; the caller must roll back.
        """
        return await rows_changed(session, delete(PostmortemCall).where(PostmortemCall.id == call.id)) == 1

    async def release(self, *calls: ClaimedCall) -> None:
        """Let any process claim the calls that this process owns and that are not in a batch.

        A call with a reply keeps it. One without a reply starts over, unless failed batches are counted in
        it.
        """
        owner = await self.lease.owner()
        async with self._database.write() as session:
            for ids in in_chunks([call.id for call in calls]):
                mine = (PostmortemCall.id.in_(ids), PostmortemCall.owner == owner)
                waits = (PostmortemCall.batch_id.is_(None), PostmortemCall.reply.is_(None))
                await session.execute(
                    delete(PostmortemCall).where(*mine, *waits, PostmortemCall.attempts == 0)
                )
                is_free = PostmortemCall.reply.is_not(None) | PostmortemCall.batch_id.is_(None)
                statement = update(PostmortemCall).where(*mine, is_free).values(self.lease.nobody())
                await session.execute(statement)

    def held(self, condition: ColumnElement[bool] | None = None) -> AbstractAsyncContextManager[None]:
        """Renew the leases of this process's calls while the block runs; `condition` restricts them."""

        async def renew(mine: dict[str, object]) -> None:
            statement = update(PostmortemCall).where(PostmortemCall.owner == mine["owner"]).values(mine)
            async with self._database.write() as session:
                await session.execute(statement if condition is None else statement.where(condition))

        return self.lease.held(renew)

    async def _change_mine(self, call: ClaimedCall, **values: object) -> None:
        is_mine = (PostmortemCall.id == call.id) & (PostmortemCall.owner == await self.lease.owner())
        if not await self._change(is_mine, **values):
            raise LeaseLost("another run has taken it over")

    async def _change(self, condition: ColumnElement[bool], **values: object) -> bool:
        async with self._database.write() as session:
            return await rows_changed(session, update(PostmortemCall).where(condition).values(**values)) == 1


MAX_IDS_PER_STATEMENT = 10_000
"""Both SQLite and PostgreSQL accept at least 32,000 bound values in a statement."""


def in_chunks(ids: Sequence[int]) -> list[Sequence[int]]:
    """Split ids into as many as one statement takes."""
    step = MAX_IDS_PER_STATEMENT
    return [ids[start : start + step] for start in range(0, len(ids), step)]


async def rows_changed(session: WriteSession, statement: Update | Delete) -> int:
    """Execute a statement and return how many rows it changed."""
    result = await session.execute(statement)
    assert isinstance(result, CursorResult)  # noqa: S101  what an UPDATE or DELETE returns
    return result.rowcount


def _plan(stored: dict[str, Any] | None) -> DocumentPlan | None:
    """Return the stored plan, or None if there is none or another version wrote it."""
    try:
        return None if stored is None else _PLAN.validate_python(stored)
    except ValidationError:
        return None


def _storable(paid: PaidReply) -> PaidReply:
    """Replace what a database refuses: it must not cost a text that is paid for."""
    reply = paid.reply

    return replace(
        paid,
        reply=replace(
            reply,
            text=storable(reply.text),
            model=storable(reply.model)[:_MAX_MODEL_CHARACTERS],
            stop_reason=storable(reply.stop_reason)[:_MAX_REASON_CHARACTERS],
            request_id=reply.request_id and storable(reply.request_id),
        ),
    )
