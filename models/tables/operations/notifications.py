"""Notifications: alerts that were sent, or that nobody got."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.schema import PrimaryKey, Table, UtcDateTime, one_of


class NotificationStatus(StrEnum):
    """Whether the provider took it."""

    SENT = "sent"
    FAILED = "failed"


class Notification(Table):
    """One alert to one channel of one provider."""

    __tablename__ = "notifications"
    __table_args__ = (
        one_of("status", NotificationStatus),
        Index(None, "created_at"),
        Index(None, "deployment_id", "created_at"),
    )

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    provider: Mapped[str] = mapped_column(String(100))
    """`pagerduty`, `slack`, `email`."""
    channel: Mapped[str] = mapped_column(String(200))
    """Whom it was for: a rotation, a room, an address."""
    subject: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(20))
    error: Mapped[str | None] = mapped_column(Text)
    """What the provider said to a failed one."""
    incident_id: Mapped[int | None] = mapped_column(ForeignKey("incidents.id"), index=True)
    deployment_id: Mapped[int | None] = mapped_column(ForeignKey("deployments.id"))
