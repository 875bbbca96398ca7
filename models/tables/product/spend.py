"""What paid model calls may cost, have cost, and have reserved."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.schema import JsonDocument, Money, PrimaryKey, Table, UtcDateTime, enum_check


class AccountKind(StrEnum):
    """Who a call is paid for; balances are locked in the order of these values."""

    USER = "user"
    KEY = "key"
    TEAM = "team"
    RUN = "run"
    """One run of a command; its period is its whole life."""
    INSTALLATION = "installation"


class SpendCap(Table):
    """The most that an account may spend per day."""

    __tablename__ = "spend_caps"
    __table_args__ = (
        enum_check("kind", AccountKind),
        CheckConstraint("limit_nanousd >= 0", name="limit_not_negative"),
    )

    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    subject: Mapped[str] = mapped_column(String(100), primary_key=True)
    """Id of the user, key or team, `*` for each that has no cap of its own; empty for the installation."""
    limit_usd: Mapped[Decimal | None] = mapped_column("limit_nanousd", Money)
    """None: no limit, also where there is a default."""
    time_zone: Mapped[str] = mapped_column(String(100))
    """IANA name of the zone whose midnight begins the account's day."""
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SpendBalance(Table):
    """What one account has spent and reserved in one period."""

    __tablename__ = "spend_balances"
    __table_args__ = (
        enum_check("kind", AccountKind),
        CheckConstraint("spent_nanousd >= 0 AND reserved_nanousd >= 0", name="not_negative"),
        UniqueConstraint("kind", "subject", "period", name="uq_spend_balances_one_per_period"),
    )

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    subject: Mapped[str] = mapped_column(String(100))
    period: Mapped[str] = mapped_column(String(10))
    """The account's day, such as `2026-11-30`; empty for the whole life of a run."""
    time_zone: Mapped[str] = mapped_column(String(100))
    limit_usd: Mapped[Decimal | None] = mapped_column("limit_nanousd", Money)
    """What the last call was allowed to add up to; None: there was no limit."""
    spent_usd: Mapped[Decimal] = mapped_column("spent_nanousd", Money)
    reserved_usd: Mapped[Decimal] = mapped_column("reserved_nanousd", Money)
    """Worst cases of calls in flight."""
    calls: Mapped[int] = mapped_column(BigInteger)
    """Calls that have cost something."""


class SpendReservation(Table):
    """The worst case of one call in flight; deleted in the transaction that settles it."""

    __tablename__ = "spend_reservations"

    reference: Mapped[str] = mapped_column(String(64), primary_key=True)
    worst_cost_usd: Mapped[Decimal] = mapped_column("worst_cost_nanousd", Money)
    balances: Mapped[list[int]] = mapped_column(JsonDocument)
    """Ids of the balances that hold it."""
    owner: Mapped[str] = mapped_column(String(200))
    """The process that makes the call: `host:pid:start`; `batch` for a prompt of a batch."""
    leased_until: Mapped[datetime] = mapped_column(UtcDateTime)
    """From then on, or once its owner is dead, it counts as spent in full."""
    reserved_at: Mapped[datetime] = mapped_column(UtcDateTime)
