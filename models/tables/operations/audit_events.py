"""Audit events: who did what to the gateway."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.schema import PrimaryKey, Table, UtcDateTime


class AuditEvent(Table):
    """One action of a person or a program on the gateway."""

    __tablename__ = "audit_events"
    __table_args__ = (Index(None, "occurred_at"), Index(None, "deployment_id", "occurred_at"))

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(String(200))
    action: Mapped[str] = mapped_column(String(200))
    """A dotted verb: `config.update`, `key.revoke`."""
    target: Mapped[str] = mapped_column(String(200))
    """A deployment, a model, a backend, or a part of the gateway such as `router`."""
    deployment_id: Mapped[int | None] = mapped_column(ForeignKey("deployments.id"))
    """The deployment that `target` names, if it names one."""
    detail: Mapped[str | None] = mapped_column(Text)
