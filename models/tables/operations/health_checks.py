"""Single health checks of deployments, with their latency."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.gateway.deployments import DeploymentStatus
from models.tables.schema import PrimaryKey, Table, UtcDateTime, enum_check


class HealthCheck(Table):
    """One probe of one deployment."""

    __tablename__ = "health_checks"
    __table_args__ = (enum_check("status", DeploymentStatus), Index(None, "deployment_id", "checked_at"))

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    deployment_id: Mapped[int] = mapped_column(ForeignKey("deployments.id"))
    checked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    status: Mapped[str] = mapped_column(String(20))
    latency_ms: Mapped[int | None] = mapped_column(BigInteger)
    """None: no answer."""
    error: Mapped[str | None] = mapped_column(Text)
