"""Caps as an operator sets them, and what the accounts have spent of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from context_builder.spend.accounts import UTC_NAME, Caps, day_of, zone_of
from context_builder.text.clock import utc_now
from context_builder.text.wire import WIRE, Usd
from models import AccountKind, SpendBalance, SpendCap, SpendReservation
from models.audit_chain import AuditRecord
from models.database import Database

DEFAULT_DAYS = 1
MAX_DAYS = 366
MAX_ACCOUNTS = 200
"""Accounts and days of one report."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class AccountSpend:
    """What one account has spent on one day."""

    kind: str
    """`user`, `key`, `team` or `installation`."""
    id: str
    """Of the user, key or team; empty for the installation."""
    day: str
    """The account's own day, such as `2026-11-30`."""
    time_zone: str
    spent_usd: Usd
    reserved_usd: Usd
    """Worst cases of calls in flight."""
    limit_usd: Usd | None
    """The most that it may spend that day; None: no limit."""
    left_usd: Usd | None
    """What is neither spent nor reserved; None without a limit."""
    calls: int
    """Calls that have cost something."""


@dataclass(frozen=True, slots=True)
class CapEntry:
    """A cap on each day of an account."""

    kind: str
    id: str
    """Of the user, key or team, `*` for each without a cap of its own; empty for the installation."""
    limit_usd: Usd | None
    """None: no limit, also where there is a default."""
    time_zone: str


@dataclass(frozen=True, slots=True)
class SpendReport:
    """What paid calls have cost and may cost."""

    __pydantic_config__ = WIRE

    as_of: datetime
    accounts: tuple[AccountSpend, ...]
    """The newest days first, of a day the installation, then what has spent most."""
    more: bool
    """True if there are more accounts than a report holds."""
    caps: tuple[CapEntry, ...]
    in_flight: int
    """Calls and prompts of batches whose cost is not known yet."""


async def set_cap(
    database: Database, kind: AccountKind, subject: str, limit: Decimal | None, time_zone: str | None
) -> None:
    """Set the cap of an account from the next call on; without a time zone, it keeps the one it has."""
    async with database.write() as session:
        caps = await _load_caps(session)
        known = caps.get((kind, subject))
        zone = time_zone or (known.time_zone if known else zone_of(caps, kind, subject))
        await session.merge(
            SpendCap(kind=kind, subject=subject, limit_usd=limit, time_zone=zone, changed_at=utc_now())
        )
        session.audited.append(_audit_record(kind, subject, "none" if limit is None else str(limit)))


async def remove_cap(database: Database, kind: AccountKind, subject: str) -> bool:
    """Remove the cap of an account, so that the default of its kind holds; False if it has none."""
    this = (SpendCap.kind == kind, SpendCap.subject == subject)
    async with database.write() as session:
        session.audited.append(_audit_record(kind, subject, "default"))
        return await session.scalar(delete(SpendCap).where(*this).returning(SpendCap.kind)) is not None


def _audit_record(kind: AccountKind, subject: str, limit: str) -> AuditRecord:
    return AuditRecord(action="cap", subject=f"{kind}:{subject}", detail={"limit_usd": limit})


async def spend_report(
    session: AsyncSession, *, days: int = DEFAULT_DAYS, now: datetime | None = None
) -> SpendReport:
    """Return what each account has spent on its last days, its today included."""
    now = now or utc_now()
    row, caps = SpendBalance, await _load_caps(session)
    found = await session.scalars(
        select(row)
        # No zone is more than a day behind UTC; those ahead are sorted out below.
        .where(row.period >= await day_of(now - days * _DAY, UTC_NAME))
        .order_by(row.period.desc(), row.kind != AccountKind.INSTALLATION, row.spent_usd.desc(), row.id)
        .limit(MAX_ACCOUNTS + 1)
    )
    listed = [each for each in found if each.period > await day_of(now - days * _DAY, each.time_zone)]
    return SpendReport(
        as_of=now,
        accounts=tuple(_entry(each) for each in listed[:MAX_ACCOUNTS]),
        more=len(listed) > MAX_ACCOUNTS,
        caps=tuple(
            CapEntry(each.kind, each.subject, each.limit_usd, each.time_zone) for each in caps.values()
        ),
        in_flight=await session.scalar(select(func.count()).select_from(SpendReservation)) or 0,
    )


def _entry(row: SpendBalance) -> AccountSpend:
    limit, used = row.limit_usd, row.spent_usd + row.reserved_usd
    return AccountSpend(
        kind=row.kind,
        id=row.subject,
        day=row.period,
        time_zone=row.time_zone,
        spent_usd=row.spent_usd,
        reserved_usd=row.reserved_usd,
        limit_usd=limit,
        left_usd=None if limit is None else max(Decimal(0), limit - used),
        calls=row.calls,
    )


async def _load_caps(session: AsyncSession) -> Caps:
    found = await session.scalars(select(SpendCap).order_by(SpendCap.kind, SpendCap.subject))
    return {(cap.kind, cap.subject): cap for cap in found}
