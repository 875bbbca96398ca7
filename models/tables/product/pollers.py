"""What pollers have found out about each of their targets, and when they look again."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.schema import JsonDocument, PrimaryKey, Table, UtcDateTime, enum_check


class PollerKind(StrEnum):
    """What a target is."""

    STATUS_PAGE = "status_page"
    MODEL_SERVER = "model_server"
    LITELLM = "litellm"


class PollerState(Table):
    """One target: the last poll, the last one that succeeded, and what the next one needs to know."""

    __tablename__ = "poller_states"
    __table_args__ = (enum_check("kind", PollerKind),)

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    name: Mapped[str] = mapped_column(String(250), unique=True)
    """Kind and subject."""
    kind: Mapped[str] = mapped_column(String(20))
    about: Mapped[str] = mapped_column(String(201))
    """Backend or deployment that the target tells of."""
    polled_at: Mapped[datetime] = mapped_column(UtcDateTime)
    succeeded_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    next_at: Mapped[datetime] = mapped_column(UtcDateTime)
    failures: Mapped[int] = mapped_column(Integer)
    """Failed polls since the last one that succeeded."""
    error: Mapped[str | None] = mapped_column(Text)
    """Why the last poll failed; None if it did not."""
    summary: Mapped[str | None] = mapped_column(Text)
    """What the target said of itself when a poll last succeeded, in one line."""
    memory: Mapped[dict[str, Any]] = mapped_column(JsonDocument)
    """What the poller knows from earlier polls, such as counters and open incidents."""
