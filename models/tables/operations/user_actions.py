"""User actions other than requests."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.schema import PrimaryKey, Table, UtcDateTime


class UserAction(Table):
    """One action: a key created, a limit requested, a batch submitted."""

    __tablename__ = "user_actions"
    __table_args__ = (Index(None, "user_id", "occurred_at"),)

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    action: Mapped[str] = mapped_column(String(200))
    """A dotted verb: `key.create`, `batch.submit`."""
    detail: Mapped[str | None] = mapped_column(Text)
