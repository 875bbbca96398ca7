"""The journal of batches, one row each: `submitting` -> `submitted` -> ended.

A batch is stored with its calls before it is submitted, and gets the API's id afterwards. If the process dies
in between, nobody knows whether the API has the batch: the row stays `submitting` until a person adopts or
discards it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import ColumnElement, delete, exists, func, select, update

from context_builder.errors import ContextBuilderError
from context_builder.jobs.lease import NOBODY, LeaseLost
from context_builder.postmortems.journal import CallJournal, ClaimedCall, in_chunks, rows_changed
from models import Incident, PostmortemBatch, PostmortemCall
from models.database import Database, WriteSession

_PAGE = 100


class BatchConflict(ContextBuilderError):
    """The batch is not one that can be adopted or discarded; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenBatch:
    """A batch whose results have not all been collected and written."""

    id: int
    api_id: str | None
    """None: it is `submitting`."""
    model: str
    created_at: datetime
    waiting: int
    """Calls without a result."""
    worst_cost_usd: Decimal
    """The most that the calls without a result can cost."""
    is_interrupted: bool
    """True if it is `submitting` and no living process is submitting it: the API may or may not have it."""


class BatchJournal:
    """Stores batches beside the calls of one journal."""

    def __init__(self, database: Database, calls: CallJournal) -> None:
        self._database = database
        self._calls = calls
        self._lease = calls.lease

    async def open(self) -> tuple[OpenBatch, ...]:
        """Return all batches that have not ended, oldest first."""
        waits = PostmortemCall.reply.is_(None) & PostmortemCall.id.is_not(None)
        statement = (
            select(
                PostmortemBatch,
                func.count(PostmortemCall.id).filter(waits).label("waiting"),
                func.sum(PostmortemCall.worst_cost_usd).filter(waits).label("worst"),
                func.max(PostmortemCall.owner).label("owner"),
                func.max(PostmortemCall.leased_until, type_=PostmortemCall.leased_until.type).label("until"),
            )
            .outerjoin(PostmortemCall, PostmortemCall.batch_id == PostmortemBatch.id)
            .where(PostmortemBatch.ended_at.is_(None))
            .group_by(PostmortemBatch.id)
            .order_by(PostmortemBatch.id)
        )
        async with self._database.read() as session:
            rows = (await session.execute(statement)).all()
        return tuple(
            [
                OpenBatch(
                    id=batch.id,
                    api_id=batch.api_id,
                    model=batch.model,
                    created_at=batch.created_at,
                    waiting=waiting,
                    worst_cost_usd=worst or Decimal(0),
                    is_interrupted=batch.api_id is None
                    and await self._lease.is_free(owner or NOBODY, until or batch.created_at),
                )
                for batch, waiting, worst, owner, until in rows
            ]
        )

    async def begin(self, calls: Sequence[ClaimedCall], model: str) -> int:
        """Store a batch of claimed calls as `submitting` and return its id.

        Raises:
            LeaseLost: another process has taken over some of the calls; nothing is stored.
        """
        owner = await self._lease.owner()
        async with self._database.write() as session:
            batch = PostmortemBatch(model=model, created_at=self._lease.clock())
            session.add(batch)
            await session.flush()
            for ids in in_chunks([call.id for call in calls]):
                claimed = (
                    PostmortemCall.id.in_(ids),
                    PostmortemCall.owner == owner,
                    PostmortemCall.batch_id.is_(None),
                    PostmortemCall.reply.is_(None),
                )
                joined = {"batch_id": batch.id, "attempts": PostmortemCall.attempts + 1}
                if await rows_changed(session, update(PostmortemCall).where(*claimed).values(joined)) != len(
                    ids
                ):
                    raise LeaseLost("another run has taken over some of the incidents")
            return batch.id

    async def submitted(self, batch_id: int, api_id: str) -> None:
        """Store the API's id of a batch."""
        async with self._database.write() as session:
            await self._name(session, batch_id, api_id)

    async def interrupted(self, batch_id: int) -> None:
        """Record that this process is no longer submitting a batch, although the outcome is unknown."""
        async with self._database.write() as session:
            calls = PostmortemCall.batch_id == batch_id
            await session.execute(update(PostmortemCall).where(calls).values(self._lease.nobody()))

    async def adopt(self, batch_id: int, api_id: str, *, prompts: int) -> None:
        """Turn an interrupted batch into a submitted one, with the API's id that a person has found.

        `prompts` is the number that the API's batch has.

        Raises:
            BatchConflict: it is not interrupted, or the id belongs to another batch.
        """
        async with self._database.write() as session:
            await self._require_interrupted(session, batch_id)
            calls = select(func.count()).where(PostmortemCall.batch_id == batch_id)
            if (expected := await session.scalar(calls)) != prompts:
                raise BatchConflict(f"{api_id} has {prompts:,} prompts, batch {batch_id} has {expected:,}")
            if await session.scalar(select(PostmortemBatch.id).where(PostmortemBatch.api_id == api_id)):
                raise BatchConflict(f"{api_id} is the id of another batch here")
            await self._name(session, batch_id, api_id)

    async def disown(self, batch_id: int) -> bool:
        """Turn a submitted batch back into an interrupted one because its API id is another batch's.

        Returns False, and changes nothing, if another run has collected it meanwhile.
        """
        waits = (PostmortemCall.batch_id == batch_id) & PostmortemCall.reply.is_(None)
        async with self._database.write() as session:
            if not await rows_changed(
                session, update(PostmortemCall).where(waits).values(self._lease.nobody())
            ):
                return False
            await self._name(session, batch_id, None)
            return True

    async def discard_interrupted(self, batch_id: int) -> tuple[str, ...]:
        """Discard a batch on a person's word that the API does not have it. Return its custom ids.

        Raises:
            BatchConflict: it is not interrupted.
        """
        async with self._database.write() as session:
            await self._require_interrupted(session, batch_id)
            return await self._discard(session, batch_id)

    async def discard(self, batch_id: int) -> None:
        """Delete a batch that the API refused; its calls can be claimed, and it does not count as attempt."""
        async with self._database.write() as session:
            await self._discard(session, batch_id)

    async def release(
        self, batch_id: int, custom_ids: Sequence[str] | None = None
    ) -> tuple[tuple[str, str], ...]:
        """Let any process claim calls that will get no reply, by default all that have none.

        Returns their incidents' public ids and their custom ids. The rows stay, with the number of attempts.
        """
        chosen = (PostmortemCall.batch_id == batch_id) & PostmortemCall.reply.is_(None)
        if custom_ids is not None:
            chosen &= PostmortemCall.custom_id.in_(custom_ids)
        statement = select(Incident.public_id, PostmortemCall.custom_id).join(
            PostmortemCall, PostmortemCall.incident_id == Incident.id
        )
        async with self._database.write() as session:
            rows = (await session.execute(statement.where(chosen).order_by(Incident.id))).all()
            await self._free(session, chosen)
        return tuple((row.public_id, row.custom_id) for row in rows)

    async def end(self, batch_id: int) -> bool:
        """Mark a batch as ended, and return True, if none of its calls is left."""
        left = exists().where(PostmortemCall.batch_id == batch_id)
        statement = update(PostmortemBatch).where(PostmortemBatch.id == batch_id, ~left)
        async with self._database.write() as session:
            return await rows_changed(session, statement.values(ended_at=self._lease.clock())) == 1

    async def call(self, batch_id: int, custom_id: str) -> ClaimedCall | None:
        """Return the unfinished call of a batch that a result belongs to, None if there is none."""
        statement = select(PostmortemCall).where(
            PostmortemCall.batch_id == batch_id, PostmortemCall.custom_id == custom_id
        )
        async with self._database.read() as session:
            row = await session.scalar(statement)
            return None if row is None else ClaimedCall.of(row)

    async def replied_calls(self, batch_id: int) -> AsyncIterator[tuple[str, ClaimedCall]]:
        """Yield the calls of a batch whose reply is stored, with their incidents' public ids; by pages."""
        after = 0
        while True:
            statement = (
                select(Incident.public_id, PostmortemCall)
                .join(Incident, Incident.id == PostmortemCall.incident_id)
                .where(
                    PostmortemCall.batch_id == batch_id,
                    PostmortemCall.reply.is_not(None),
                    PostmortemCall.id > after,
                )
                .order_by(PostmortemCall.id)
                .limit(_PAGE)
            )
            async with self._database.read() as session:
                page = [(row[0], ClaimedCall.of(row[1])) for row in await session.execute(statement)]
            for incident, call in page:
                yield incident, call
            if len(page) < _PAGE:
                return
            after = page[-1][1].id

    async def claim_reply(self, call: ClaimedCall) -> bool:
        """Take over a call with a reply unless a living process owns it.

        Returns whether this process owns it now.
        """
        mine = await self._lease.mine()
        # Not by claiming the incident: if the call has just been finished, that would start a new one.
        this = PostmortemCall.id == call.id
        async with self._database.write() as session:
            row = await session.scalar(select(PostmortemCall).where(this).with_for_update())
            if row is None:
                return False
            if row.owner != mine["owner"] and not await self._lease.is_free(row.owner, row.leased_until):
                return False
            await session.execute(update(PostmortemCall).where(this).values(mine))
            return True

    async def _require_interrupted(self, session: WriteSession, batch_id: int) -> None:
        batch = await session.scalar(
            select(PostmortemBatch).where(PostmortemBatch.id == batch_id).with_for_update()
        )
        if batch is None:
            raise BatchConflict(f"there is no batch {batch_id}")
        if batch.ended_at is not None or batch.api_id is not None:
            raise BatchConflict(f"batch {batch_id} was submitted as {batch.api_id}; a run collects it")
        owners = select(PostmortemCall.owner, func.max(PostmortemCall.leased_until)).where(
            PostmortemCall.batch_id == batch_id
        )
        for owner, leased_until in await session.execute(owners.group_by(PostmortemCall.owner)):
            if not await self._lease.is_free(owner, leased_until):
                raise BatchConflict(f"another run is submitting batch {batch_id}")

    async def _discard(self, session: WriteSession, batch_id: int) -> tuple[str, ...]:
        """Delete a batch. Its calls start over; those of earlier batches keep their number of attempts."""
        waits = (PostmortemCall.batch_id == batch_id) & PostmortemCall.reply.is_(None)
        freed = tuple(await session.scalars(select(PostmortemCall.custom_id).where(waits)))
        await session.execute(delete(PostmortemCall).where(waits, PostmortemCall.attempts <= 1))
        await self._free(session, waits, attempts=PostmortemCall.attempts - 1)
        await session.execute(delete(PostmortemBatch).where(PostmortemBatch.id == batch_id))
        return freed

    async def _free(self, session: WriteSession, chosen: ColumnElement[bool], **values: object) -> None:
        """Take calls out of their batch, for any process to claim."""
        free = self._lease.nobody() | {"batch_id": None} | values
        await session.execute(update(PostmortemCall).where(chosen).values(free))

    @staticmethod
    async def _name(session: WriteSession, batch_id: int, api_id: str | None) -> None:
        statement = update(PostmortemBatch).where(PostmortemBatch.id == batch_id).values(api_id=api_id)
        await session.execute(statement)
