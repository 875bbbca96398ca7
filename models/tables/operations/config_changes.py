"""Configuration changes: which parameter of what, from which value to which, by whom."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.schema import PrimaryKey, Table, UtcDateTime


class ConfigChange(Table):
    """One parameter that was set, changed or removed."""

    __tablename__ = "config_changes"
    __table_args__ = (Index(None, "changed_at"), Index(None, "deployment_id", "changed_at"))

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(100), unique=True)
    """`cfg_…`"""
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    target: Mapped[str] = mapped_column(String(200))
    """A deployment, a model, a backend, or a part of the gateway such as `router`."""
    deployment_id: Mapped[int | None] = mapped_column(ForeignKey("deployments.id"))
    """The deployment that `target` names, if it names one."""
    parameter: Mapped[str] = mapped_column(String(200))
    old_value: Mapped[str | None] = mapped_column(Text)
    """None: it was not set before."""
    new_value: Mapped[str | None] = mapped_column(Text)
    """None: it was removed."""
    changed_by: Mapped[str] = mapped_column(String(200))
