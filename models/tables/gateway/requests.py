"""The request log: one row for each request that the gateway routed."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.schema import JsonDocument, Money, PrimaryKey, Table, UtcDateTime, enum_check


class RequestStatus(StrEnum):
    """Outcome of a request; `pending` requests had not ended when they were logged."""

    SUCCESS = "success"
    ERROR = "error"
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    PENDING = "pending"


FAILED_STATUSES = (RequestStatus.ERROR, RequestStatus.TIMEOUT, RequestStatus.RATE_LIMITED)


class Request(Table):
    """One routed request. Written only through `models.request_log`, which keeps the rollups consistent.

    On PostgreSQL a table of days, of which each has its keys: see `models.request_log.partitions`. A new day
    that refers to other tables would lock out their writers, so it does not.
    """

    __tablename__ = "requests"
    __table_args__ = (
        enum_check("status", RequestStatus),
        CheckConstraint("latency_ms >= 0", name="latency_not_negative"),
        CheckConstraint("cost_nanousd >= 0", name="cost_not_negative"),
        Index(None, "status", "created_at"),
        Index(None, "deployment_id", "status", "created_at"),
        Index(None, "user_id", "created_at"),
        Index(None, "created_at"),
    )

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(100), unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    user_id: Mapped[int] = mapped_column(PrimaryKey)
    deployment_id: Mapped[int] = mapped_column(PrimaryKey)
    tier: Mapped[str | None] = mapped_column(String(20))
    """Tier of the user at the time of the request; None: logged before it was kept."""
    status: Mapped[str] = mapped_column(String(20))
    error_code: Mapped[str | None] = mapped_column(String(100))
    latency_ms: Mapped[int | None] = mapped_column(BigInteger)
    """Whole milliseconds, so that sums do not depend on the order of addition."""
    cost_usd: Mapped[Decimal] = mapped_column("cost_nanousd", Money, default=Decimal(0))
    prompt_tokens: Mapped[int | None] = mapped_column(BigInteger)
    completion_tokens: Mapped[int | None] = mapped_column(BigInteger)
    endpoint: Mapped[str | None] = mapped_column(String(200))
    """Called path of the gateway's API: `/v1/messages`."""
    task_type: Mapped[str | None] = mapped_column(String(100))
    router_version: Mapped[str | None] = mapped_column(String(100))
    routing_reason: Mapped[dict[str, Any] | None] = mapped_column(JsonDocument)
