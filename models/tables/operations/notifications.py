"""Notifications: alerts that were sent or failed."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.schema import PrimaryKey, Table, UtcDateTime, enum_check


class NotificationStatus(StrEnum):
    """Whether the provider accepted the alert."""

    SENT = "sent"
    FAILED = "failed"


class Notification(Table):
    """One alert to one channel of one provider."""

    __tablename__ = "notifications"
    __table_args__ = (
        enum_check("status", NotificationStatus),
        Index(None, "created_at"),
        Index(None, "deployment_id", "created_at"),
    )

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    provider: Mapped[str] = mapped_column(String(100))
    """`pagerduty`, `slack`, `email`."""
    channel: Mapped[str] = mapped_column(String(200))
    """Recipient: a rotation, a room, an address."""
    subject: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(20))
    error: Mapped[str | None] = mapped_column(Text)
    """The provider's error for a failed alert."""
    incident_id: Mapped[int | None] = mapped_column(ForeignKey("incidents.id"), index=True)
    deployment_id: Mapped[int | None] = mapped_column(ForeignKey("deployments.id"))
