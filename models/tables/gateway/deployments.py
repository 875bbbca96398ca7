"""Deployments: a model served on a backend, the unit that requests are routed to."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.schema import PrimaryKey, Table, UtcDateTime, enum_check


class DeploymentStatus(StrEnum):
    """Result of the last health check; `unknown` if there was none."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"


class Deployment(Table):
    """One model on one backend, named `model/backend`, with its last reported health."""

    __tablename__ = "deployments"
    __table_args__ = (UniqueConstraint("model", "backend"), enum_check("status", DeploymentStatus))

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(200), unique=True)
    """`model/backend`, for example `gpt-4/aws`."""
    model: Mapped[str] = mapped_column(String(100))
    backend: Mapped[str] = mapped_column(String(100))
    region: Mapped[str | None] = mapped_column(String(100))
    version: Mapped[str | None] = mapped_column(String(100))
    """Version of the serving image."""
    endpoint: Mapped[str | None] = mapped_column(String(500))
    capacity_rpm: Mapped[int | None] = mapped_column(BigInteger)
    """Provisioned requests per minute."""
    p95_objective_ms: Mapped[int | None] = mapped_column(BigInteger)
    """Service level objective: p95 latency above this is a breach; None: what is unusual for it is."""
    last_seen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the deployment last answered a health check or a request."""
    status: Mapped[str] = mapped_column(String(20), default=DeploymentStatus.UNKNOWN)
    status_reason: Mapped[str | None] = mapped_column(Text)
    status_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the deployment entered its current status."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When health was last reported; None: never."""
