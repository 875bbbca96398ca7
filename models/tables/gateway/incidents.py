"""Incidents with symptoms, cause and resolution."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.gateway.review import Provenance, ReviewStatus
from models.tables.schema import PrimaryKey, Table, UtcDateTime, enum_check


class Severity(StrEnum):
    """Severity of an incident, worst first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class IncidentStatus(StrEnum):
    """Current status of an incident; the status at a past moment follows from `resolved_at`."""

    ACTIVE = "active"
    RESOLVED = "resolved"


class Incident(Table):
    """An incident, with its cause and resolution once it is resolved."""

    __tablename__ = "incidents"
    __table_args__ = (
        enum_check("severity", Severity),
        enum_check("status", IncidentStatus),
        enum_check("provenance", Provenance),
        enum_check("review", ReviewStatus),
        CheckConstraint("(status = 'resolved') = (resolved_at IS NOT NULL)", name="resolved_has_a_time"),
        CheckConstraint("resolved_at >= started_at", name="resolved_after_start"),
        Index(None, "started_at"),
        Index(None, "resolved_at"),
    )

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(100), unique=True)
    title: Mapped[str] = mapped_column(Text)
    symptoms: Mapped[str] = mapped_column(Text, default="")
    target: Mapped[str | None] = mapped_column(String(200))
    """Affected target as reported: a deployment, a model, a backend or anything else."""
    deployment_id: Mapped[int | None] = mapped_column(ForeignKey("deployments.id"), index=True)
    """The deployment that `target` names, if it names one."""
    severity: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(20))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    resolved_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    root_cause: Mapped[str | None] = mapped_column(Text)
    """Known from `resolved_at` on."""
    resolution: Mapped[str | None] = mapped_column(Text)
    """Known from `resolved_at` on."""
    provenance: Mapped[str] = mapped_column(
        String(20), default=Provenance.HUMAN, server_default=Provenance.HUMAN
    )
    review: Mapped[str] = mapped_column(
        String(20), default=ReviewStatus.APPROVED, server_default=ReviewStatus.APPROVED
    )
    """Memory recalls approved incidents, recalls drafts with a mark, and never recalls rejected ones."""
    forgotten_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When its texts were erased for good."""
