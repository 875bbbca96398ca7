"""State transitions: every change of a deployment's health status."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.gateway.deployments import DeploymentStatus
from models.tables.schema import PrimaryKey, Table, UtcDateTime, enum_check


class StateTransition(Table):
    """A change of one deployment's health status."""

    __tablename__ = "state_transitions"
    __table_args__ = (
        enum_check("from_status", DeploymentStatus),
        enum_check("to_status", DeploymentStatus),
        Index(None, "deployment_id", "changed_at"),
        Index(None, "changed_at"),
    )

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    deployment_id: Mapped[int] = mapped_column(ForeignKey("deployments.id"))
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    from_status: Mapped[str] = mapped_column(String(20))
    to_status: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str | None] = mapped_column(Text)
