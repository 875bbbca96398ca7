"""Users of the gateway, their service tier and their daily budget."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import CheckConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.schema import Money, PrimaryKey, Table, UtcDateTime, enum_check


class Tier(StrEnum):
    """Service tiers, best first."""

    PREMIUM = "premium"
    STANDARD = "standard"
    BUDGET = "budget"


class User(Table):
    """A sender of requests; `daily_budget_usd` is None if no limit is set."""

    __tablename__ = "users"
    __table_args__ = (
        enum_check("tier", Tier),
        CheckConstraint("daily_budget_nanousd >= 0", name="daily_budget_not_negative"),
    )

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(100), unique=True)
    name: Mapped[str | None] = mapped_column(String(200))
    role: Mapped[str | None] = mapped_column(String(100))
    """The user's permissions: `admin`, `developer`, `service`."""
    tier: Mapped[str] = mapped_column(String(20))
    daily_budget_usd: Mapped[Decimal | None] = mapped_column("daily_budget_nanousd", Money)
    """Budget of a UTC day."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When tier or budget last changed; both are unknown for earlier moments."""
