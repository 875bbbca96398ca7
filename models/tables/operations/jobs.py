"""Jobs: what was done to the fleet, from rollouts to firmware updates."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.schema import PrimaryKey, Table, UtcDateTime, one_of


class JobType(StrEnum):
    """What a job does."""

    ROLLOUT = "rollout"
    DRAIN = "drain"
    SCALE = "scale"
    FIRMWARE_UPDATE = "firmware_update"
    IMAGE_UPDATE = "image_update"


class JobStatus(StrEnum):
    """How far a job is; at a past moment this follows from its times."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job(Table):
    """One job on one target."""

    __tablename__ = "jobs"
    __table_args__ = (
        one_of("type", JobType),
        one_of("status", JobStatus),
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
    """What it works on: a deployment, a model, a backend, or a part of the gateway such as `router`."""
    deployment_id: Mapped[int | None] = mapped_column(ForeignKey("deployments.id"))
    """The deployment that `target` names, where it names one."""
    detail: Mapped[str] = mapped_column(Text, default="")
    """What changes: `v2.3.1 -> v2.4.0`, `6 -> 4 replicas`."""
    error: Mapped[str | None] = mapped_column(Text)
    created_by: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """None: still queued, or cancelled before it began."""
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
