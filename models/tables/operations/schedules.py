"""Operating hours and maintenance windows of backends' sites."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.schema import PrimaryKey, Table, UtcDateTime

MINUTES_OF_A_DAY = 24 * 60


class OperatingHours(Table):
    """A span of one weekday in which a backend's site is open; a site without any is always open."""

    __tablename__ = "operating_hours"
    __table_args__ = (
        UniqueConstraint("backend", "weekday", "opens_minute"),
        CheckConstraint("weekday >= 0 AND weekday <= 6", name="weekday_known"),
        CheckConstraint(
            f"opens_minute >= 0 AND closes_minute > opens_minute AND closes_minute <= {MINUTES_OF_A_DAY}",
            name="opens_before_it_closes",
        ),
    )

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    backend: Mapped[str] = mapped_column(String(100))
    weekday: Mapped[int] = mapped_column(Integer)
    """0 is Monday."""
    opens_minute: Mapped[int] = mapped_column(Integer)
    """Minute of the local day."""
    closes_minute: Mapped[int] = mapped_column(Integer)
    """Minute of the local day, exclusive; 1440 is midnight. A span over midnight is two rows."""
    time_zone: Mapped[str] = mapped_column(String(100))
    """IANA name, for example `Europe/Berlin`."""


class MaintenanceWindow(Table):
    """Announced work on a backend, during which its deployments may be offline."""

    __tablename__ = "maintenance_windows"
    __table_args__ = (
        CheckConstraint("ends_at > starts_at", name="ends_after_start"),
        Index(None, "starts_at"),
    )

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    backend: Mapped[str] = mapped_column(String(100))
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime)
    announced_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When it became known."""
    reason: Mapped[str] = mapped_column(Text)
