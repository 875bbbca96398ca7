"""API keys: who may use the service, and as what."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.schema import PrimaryKey, Table, UtcDateTime, enum_check


class Role(StrEnum):
    """What a caller may do. An operator may do what a viewer may, and an admin everything."""

    INGEST = "ingest"
    """Send telemetry, and nothing else."""
    VIEWER = "viewer"
    """Ask and read."""
    OPERATOR = "operator"
    """Approve, write postmortems, change what others are shown."""
    ADMIN = "admin"
    """Manage keys and read the audit trail."""


class ApiKey(Table):
    """One key. It is never deleted, so that a service that had keys once is never open again."""

    __tablename__ = "api_keys"
    __table_args__ = (
        enum_check("role", Role),
        CheckConstraint("user_id IS NULL OR role = 'viewer'", name="bound_to_read"),
        CheckConstraint("rate_per_minute > 0", name="rate_positive"),
    )

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    prefix: Mapped[str] = mapped_column(String(20), unique=True)
    """Beginning of the key, by which it is found and named: `arc_3f9a0c12b4de`. No secret."""
    secret_sha256: Mapped[str] = mapped_column(String(64))
    """Of the whole key, in hexadecimal digits."""
    name: Mapped[str] = mapped_column(String(100))
    role: Mapped[str] = mapped_column(String(20))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    """The only user whose data the key shows; None: it shows all."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """To the hour."""
    rate_per_minute: Mapped[int | None] = mapped_column(Integer)
    """Requests that one worker serves in a minute; None: any number."""
