"""Jobs on the fleet, from rollouts to firmware updates."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.schema import PrimaryKey, Table, UtcDateTime, enum_check


class JobType(StrEnum):
    """Kind of a job."""

    ROLLOUT = "rollout"
    DRAIN = "drain"
    SCALE = "scale"
    FIRMWARE_UPDATE = "firmware_update"
    IMAGE_UPDATE = "image_update"


class JobStatus(StrEnum):
    """Current status of a job; the status at a past moment follows from its times."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job(Table):
    """One job on one target."""

    __tablename__ = "jobs"
    __table_args__ = (
        enum_check("type", JobType),
        enum_check("status", JobStatus),
        CheckConstraint(
            "(status IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)",
            name="finished_has_a_time",
        ),
        CheckConstraint("finished_at >= created_at", name="finished_after_creation"),
        Index(None, "created_at"),
        Index(None, "finished_at"),
        Index(None, "deployment_id", "created_at"),
    )

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(100), unique=True)
    """`job_…`"""
    type: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(20))
    target: Mapped[str] = mapped_column(String(200))
    """A deployment, a model, a backend, or a part of the gateway such as `router`."""
    deployment_id: Mapped[int | None] = mapped_column(ForeignKey("deployments.id"))
    """The deployment that `target` names, if it names one."""
    detail: Mapped[str] = mapped_column(Text, default="")
    """The change: `v2.3.1 -> v2.4.0`, `6 -> 4 replicas`."""
    error: Mapped[str | None] = mapped_column(Text)
    created_by: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """None: still queued, or cancelled before it started."""
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
