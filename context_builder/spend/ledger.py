"""The ledger: the worst case of a paid call is reserved before it is sent, and its cost settled afterwards.

A reservation is one conditional statement, so that no number of callers, in any number of processes, can pass
a cap together. What a process leaves behind when it dies counts as spent in full.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from functools import cache
from types import ModuleType
from typing import cast
from uuid import uuid4

import structlog
from sqlalchemy import Table, case, delete, insert, literal, select, update
from sqlalchemy import tuple_ as columns
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.dml import ReturningInsert

from context_builder.errors import ContextBuilderError
from context_builder.jobs.completion import completed
from context_builder.jobs.lease import Lease
from context_builder.spend.accounts import Account, Payer, accounts_of
from context_builder.text.formatting import format_dollars
from models import AccountKind, SpendBalance, SpendReservation
from models.database import Database, WriteSession
from models.errors import DatabaseError, DatabaseReadOnly
from models.request_log import dialect_of
from models.tables.schema import Money

log = structlog.get_logger(__name__)

CALL_LEASE = timedelta(hours=1)
"""Longer than any call: after that, one of a process on another host counts in full."""
MAX_WRITERS = 4
"""Transactions of one ledger at a time: the others wait here, where no pool loses patience with them."""
BATCH = "batch"
"""The owner of a reservation that outlives its process."""

_BALANCES = cast("Table", SpendBalance.__table__)
_NANO = Decimal("1e-9")
_ZERO = Decimal(0)


class CapReached(ContextBuilderError):
    """A call does not fit under a cap; the message says which, and how much is left."""

    def __init__(self, account: Account, worst: Decimal, left: Decimal, *, may_fit: bool = False) -> None:
        """`may_fit`: it would, if the calls in flight turned out to be free."""
        limit = max(_ZERO, account.limit_usd or _ZERO)
        day = f" for {account.period} ({account.time_zone})" if account.period else ""
        super().__init__(
            f"{account} has {format_dollars(max(_ZERO, left))} left of {format_dollars(limit)}{day}, "
            f"and the call could cost {format_dollars(worst)}"
        )
        self.account = account
        self.may_fit = may_fit


class Reservation:
    """The worst case of one call, reserved until its cost is known."""

    def __init__(self, worst: Decimal, uncharged: Collection[AccountKind] = ()) -> None:
        self.cost = worst
        """What counts in the end, in US dollars: the worst case unless it is settled."""
        self.uncharged = uncharged
        """Kinds of accounts that it does not count for: theirs reaches them in another way."""

    def settle(self, cost: Decimal) -> None:
        """Set the actual cost of the call; 0 releases it."""
        self.cost = cost


class SpendLedger:
    """Reserves and settles what calls cost; one for a process, any number for a database."""

    def __init__(self, database: Database, lease: Lease | None = None) -> None:
        self._database = database
        self._lease = lease or Lease(duration=CALL_LEASE)
        self._turns = asyncio.Semaphore(MAX_WRITERS)
        self._held = 0
        """Calls in flight."""
        self._settled = asyncio.Event()
        """Set and replaced whenever one of them is over."""

    @asynccontextmanager
    async def reserved(self, worst: Decimal, payer: Payer) -> AsyncIterator[Reservation]:
        """Reserve the worst case of a call for the block, which counts in full unless the block settles it.

        While only calls in flight stand in the way of the payer's own run, it waits: most cost less than
        their reservation.

        Raises:
            CapReached: the call does not fit.
            DatabaseError: nothing can be reserved.
        """
        reference = f"call_{uuid4().hex}"
        accounts = await self._reserve_patiently(reference, worst, payer)
        reservation = Reservation(worst, [each.kind for each in accounts if not each.is_charged])
        self._held += 1
        try:
            yield reservation
        finally:
            try:
                await completed(self._settle_if_possible(reference, reservation.cost, reservation.uncharged))
            finally:
                self._held -= 1
                settled, self._settled = self._settled, asyncio.Event()
                settled.set()

    async def hold(self, reference: str, worst: Decimal, payer: Payer, *, duration: timedelta) -> None:
        """Reserve the worst case of a call that outlives this process, until somebody settles its reference.

        A reservation of the same reference that was never used is released.

        Raises:
            CapReached: the call does not fit.
        """
        await self.settle(reference, _ZERO)
        until = {"owner": BATCH, "leased_until": self._lease.clock() + duration}
        await self._reserve(reference, worst, payer, until)

    async def require(self, worst: Decimal, payer: Payer) -> None:
        """Check that a call could fit if the calls in flight turned out to be free.

        Raises:
            CapReached: it could not.
        """
        async with self._database.read() as session:
            accounts = await accounts_of(session, payer, self._lease.clock())
            refused = await _refusal(session, accounts, worst)
        if refused is not None and not refused.may_fit:
            raise refused

    async def settle(
        self, reference: str, cost: Decimal | None = None, uncharged: Collection[AccountKind] = ()
    ) -> bool:
        """Replace a reservation by the cost of its call, None for the worst; False if there is none.

        Accounts of kinds that are uncharged get back what was reserved, and no cost.
        """
        if self._database.read_only:
            return False
        gone = delete(SpendReservation).where(SpendReservation.reference == reference)
        async with self._turns, self._database.write() as session:
            found = (
                await session.execute(
                    gone.returning(SpendReservation.worst_cost_usd, SpendReservation.balances)
                )
            ).one_or_none()
            if found is None:
                return False
            worst, balances = found
            paid = worst if cost is None else cost.quantize(_NANO, ROUND_CEILING)
            nothing = SpendBalance.kind.in_(uncharged)
            charged = case((nothing, literal(_ZERO, Money)), else_=literal(paid, Money))
            held = select(SpendBalance.id).where(SpendBalance.id.in_(balances))
            # Locked in the order in which callers lock them, so that none waits for another in a circle.
            locked = held.order_by(SpendBalance.kind).with_for_update().cte()
            await session.execute(
                update(SpendBalance)
                .where(SpendBalance.id.in_(select(locked.c.id)))
                .values(
                    reserved_usd=SpendBalance.reserved_usd - worst,
                    spent_usd=SpendBalance.spent_usd + charged,
                    calls=SpendBalance.calls + (1 if paid else 0),
                )
                .execution_options(synchronize_session=False)
            )
        return True

    async def sweep(self) -> int:
        """Count in full what dead processes have reserved: nobody knows whether their calls were made."""
        mine = await self._lease.owner()
        async with self._database.read() as session:
            others = await session.scalars(select(SpendReservation).where(SpendReservation.owner != mine))
            found = list(others)
        free = [each.reference for each in found if await self._lease.is_free(each.owner, each.leased_until)]
        return sum([await self.settle(reference) for reference in free])

    async def spent(self, kind: AccountKind, subject: str, period: str = "") -> Decimal:
        """Return what an account has spent in a period."""
        row = SpendBalance
        this = (row.kind == kind, row.subject == subject, row.period == period)
        async with self._database.read() as session:
            return await session.scalar(select(row.spent_usd).where(*this)) or _ZERO

    async def _reserve_patiently(self, reference: str, worst: Decimal, payer: Payer) -> Sequence[Account]:
        while True:
            settled = self._settled
            try:
                return await self._reserve_or_nothing(reference, worst, payer)
            except CapReached as reached:
                is_over = self._held == 0 and not settled.is_set()
                # All calls of a run are of this process; one whose cost could not be settled frees nothing.
                if not reached.may_fit or reached.account.kind is not AccountKind.RUN or is_over:
                    raise
            await settled.wait()

    async def _reserve_or_nothing(self, reference: str, worst: Decimal, payer: Payer) -> Sequence[Account]:
        """Reserve a call; if this is cancelled, nothing stays reserved."""
        try:
            return await completed(self._reserve(reference, worst, payer, await self._lease.mine()))
        except asyncio.CancelledError:
            await completed(self._settle_if_possible(reference, _ZERO))
            raise

    async def _reserve(
        self, reference: str, worst: Decimal, payer: Payer, owned: dict[str, object]
    ) -> Sequence[Account]:
        """Reserve a call in its accounts; none where nothing can be reserved, nor has to be."""
        now, worst = self._lease.clock(), worst.quantize(_NANO, ROUND_CEILING)
        if self._database.read_only:
            await self._require_no_limit(payer, now)
            return []
        async with self._turns, self._database.write() as session:
            accounts = await accounts_of(session, payer, now)
            balances = await _take(session, accounts, worst)
            missing = [each for each in accounts if each.kind not in balances]
            if missing and (refused := await _refusal(session, missing, worst)):
                raise refused
            await session.execute(
                insert(SpendReservation).values(
                    reference=reference,
                    worst_cost_usd=worst,
                    balances=[balances[each.kind] for each in accounts],
                    reserved_at=now,
                    **owned,
                )
            )
        return accounts

    async def _require_no_limit(self, payer: Payer, now: datetime) -> None:
        """Raise DatabaseReadOnly where a cap could not be kept, since nothing can be reserved."""
        async with self._database.read() as session:
            for account in await accounts_of(session, payer, now):
                if account.limit_usd is not None:
                    raise DatabaseReadOnly(
                        f"{account} has a cap, and a database that is open read-only can reserve nothing"
                    )

    async def _settle_if_possible(
        self, reference: str, cost: Decimal, uncharged: Collection[AccountKind] = ()
    ) -> None:
        """Settle a call. If the database cannot be reached, it counts in full once its lease has expired."""
        try:
            await self.settle(reference, cost, uncharged)
        except (SQLAlchemyError, DatabaseError, OSError) as error:
            log.warning("cost not settled", reference=reference, error=str(error).splitlines()[0])


async def _take(session: WriteSession, accounts: Sequence[Account], worst: Decimal) -> dict[str, int]:
    """Reserve in all balances that have room, in one statement; return the ids of their rows by kind."""
    values = [
        {
            "kind": each.kind,
            "subject": each.subject,
            "period": each.period,
            "time_zone": each.time_zone,
            "limit_nanousd": each.limit_usd,
            "spent_nanousd": _ZERO,
            "reserved_nanousd": worst,
            "calls": 0,
        }
        for each in accounts
        if each.limit_usd is None or worst <= each.limit_usd
    ]
    if not values:
        return {}
    taken = await session.execute(_conditional_insert(dialect_of(session)), values)
    return {row.kind: row.id for row in taken}


@cache
def _conditional_insert(dialect: ModuleType) -> ReturningInsert[tuple[str, int]]:
    """Add to a balance what is reserved in it, unless it would then pass its limit.

    PostgreSQL locks the rows in the order of the values, and checks the condition on what is then committed.
    """
    new, old = dialect.insert(_BALANCES), _BALANCES.c
    total = old.spent_nanousd + old.reserved_nanousd + new.excluded.reserved_nanousd
    return new.on_conflict_do_update(  # type: ignore[no-any-return]  # either dialect's
        index_elements=["kind", "subject", "period"],
        set_={
            "reserved_nanousd": old.reserved_nanousd + new.excluded.reserved_nanousd,
            "limit_nanousd": new.excluded.limit_nanousd,
            "time_zone": new.excluded.time_zone,
        },
        where=new.excluded.limit_nanousd.is_(None) | (total <= new.excluded.limit_nanousd),
    ).returning(old.kind, old.id)


async def _refusal(session: AsyncSession, accounts: Sequence[Account], worst: Decimal) -> CapReached | None:
    """Return why a call does not fit: the account with the least left; None if it fits."""
    row = SpendBalance
    keys = [(each.kind, each.subject, each.period) for each in accounts]
    found = await session.execute(
        select(row.kind, row.spent_usd, row.reserved_usd).where(
            columns(row.kind, row.subject, row.period).in_(keys)
        )
    )
    used = {kind: (spent, reserved) for kind, spent, reserved in found}
    refusals: list[tuple[Decimal, CapReached]] = []
    for account in accounts:
        spent, reserved = used.get(account.kind, (_ZERO, _ZERO))
        if account.limit_usd is not None and spent + reserved + worst > account.limit_usd:
            left = account.limit_usd - spent - reserved
            may_fit = spent + worst <= account.limit_usd
            refusals.append((left, CapReached(account, worst, left, may_fit=may_fit)))
    # One that waiting cannot help comes before one that it can.
    return min(refusals, key=lambda each: (each[1].may_fit, each[0]), default=(_ZERO, None))[1]
