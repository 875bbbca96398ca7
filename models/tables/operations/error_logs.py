"""Error logs: lines that parts of the gateway and its deployments wrote."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.schema import PrimaryKey, Table, UtcDateTime, enum_check


class LogSeverity(StrEnum):
    """Severity of a log line, worst first."""

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"


class ErrorLog(Table):
    """One line of a log, of severity warning or worse."""

    __tablename__ = "error_logs"
    __table_args__ = (
        enum_check("severity", LogSeverity),
        Index(None, "logged_at"),
        Index(None, "deployment_id", "logged_at"),
    )

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    logged_at: Mapped[datetime] = mapped_column(UtcDateTime)
    severity: Mapped[str] = mapped_column(String(20))
    target: Mapped[str] = mapped_column(String(200))
    """Origin of the line: a deployment, or a part of the gateway such as `router`."""
    deployment_id: Mapped[int | None] = mapped_column(ForeignKey("deployments.id"))
    """The deployment that `target` names, if it names one."""
    message: Mapped[str] = mapped_column(Text)
