"""Aggregates of the request log, so that the cost of a question does not grow with the log."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.schema import Money, PrimaryKey, Table, UtcDateTime, enum_check


class Resolution(StrEnum):
    """Width of a bucket. Every request counts once in each resolution."""

    MINUTE = "minute"
    TEN_MINUTES = "10_minutes"
    HOUR = "hour"

    @property
    def width(self) -> timedelta:
        """Return the length of a bucket; it divides an hour."""
        return timedelta(minutes={"minute": 1, "10_minutes": 10, "hour": 60}[self.value])


class RequestRollup(Table):
    """Requests in one bucket that share deployment, tier, router version, task type, status and error code.

    Missing dimensions are empty strings, since NULLs are not equal in a unique key.
    """

    __tablename__ = "request_rollups"
    __table_args__ = (
        enum_check("resolution", Resolution),
        UniqueConstraint(
            "resolution", "bucket_start", "deployment_id", "tier", "router_version", "task_type",
            "status", "error_code", name="uq_request_rollups_key",
        ),
        Index(None, "deployment_id", "resolution", "bucket_start"),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    resolution: Mapped[str] = mapped_column(String(10))
    bucket_start: Mapped[datetime] = mapped_column(UtcDateTime)
    deployment_id: Mapped[int] = mapped_column(ForeignKey("deployments.id"))
    tier: Mapped[str] = mapped_column(String(20))
    router_version: Mapped[str] = mapped_column(String(100))
    task_type: Mapped[str] = mapped_column(String(100))
    status: Mapped[str] = mapped_column(String(20))
    error_code: Mapped[str] = mapped_column(String(100))
    requests: Mapped[int] = mapped_column(BigInteger)
    latency_sum_ms: Mapped[int] = mapped_column(BigInteger)
    latency_histogram: Mapped[bytes] = mapped_column(LargeBinary)
    """`models.histogram.Histogram.to_bytes` of the requests with a latency."""
    slowest_ms: Mapped[int | None] = mapped_column(BigInteger)
    slowest_request_id: Mapped[int | None] = mapped_column(PrimaryKey)
    """The slowest request as an example, found without scanning the log; its day may be cold."""
    cost_usd: Mapped[Decimal] = mapped_column("cost_nanousd", Money)
    prompt_tokens: Mapped[int] = mapped_column(BigInteger)
    completion_tokens: Mapped[int] = mapped_column(BigInteger)
    stamp: Mapped[int] = mapped_column(BigInteger, server_default="0", index=True)
    """When the row last changed, set by a trigger, so that readers find changes without reading all rows.

    On SQLite a count of changes; on PostgreSQL the id of the transaction, as sequences are not in the order
    of commits.
    """


class UserSpend(Table):
    """Requests, failures and cost of one user in one hour; `resolution` is always `hour`."""

    __tablename__ = "user_spend"
    __table_args__ = (
        enum_check("resolution", Resolution),
        UniqueConstraint("resolution", "bucket_start", "user_id", name="uq_user_spend_key"),
        Index(None, "user_id", "resolution", "bucket_start"),
    )

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    resolution: Mapped[str] = mapped_column(String(10))
    bucket_start: Mapped[datetime] = mapped_column(UtcDateTime)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    requests: Mapped[int] = mapped_column(BigInteger)
    failed: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Requests with one of FAILED_STATUSES."""
    cost_usd: Mapped[Decimal] = mapped_column("cost_nanousd", Money)
    minutes: Mapped[str] = mapped_column(Text, server_default="[]")
    """JSON: minute of the hour, requests, failed and nano-dollars of each minute that has a request.

    A user rarely has more than a few minutes an hour, each of which would be a row with two index entries.
    """
    stamp: Mapped[int] = mapped_column(BigInteger, server_default="0", index=True)
    """As in `RequestRollup`."""


class QualityRollup(Table):
    """Scores by the hour of the requests and the hour in which the scores arrived.

    Both hours are kept, so that a past moment does not count scores that arrived after it. Missing dimensions
    are empty strings, as in `RequestRollup`. Written only through `models.quality_log`.
    """

    __tablename__ = "quality_rollups"
    __table_args__ = (
        UniqueConstraint(
            "bucket_start", "scored_hour", "deployment_id", "tier", "router_version", "task_type",
            name="uq_quality_rollups_key",
        ),
        CheckConstraint("scored_hour >= bucket_start", name="scored_after_the_request"),
        Index(None, "deployment_id", "bucket_start"),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    bucket_start: Mapped[datetime] = mapped_column(UtcDateTime)
    """Start of the hour in which the requests were made."""
    scored_hour: Mapped[datetime] = mapped_column(UtcDateTime)
    """Start of the hour in which the scores arrived."""
    deployment_id: Mapped[int] = mapped_column(ForeignKey("deployments.id"))
    tier: Mapped[str] = mapped_column(String(20))
    router_version: Mapped[str] = mapped_column(String(100))
    task_type: Mapped[str] = mapped_column(String(100))
    scores: Mapped[int] = mapped_column(BigInteger)
    """Number of scores."""
    score_sum: Mapped[int] = mapped_column("score_sum_millionths", BigInteger)
    """Sum of the scores in millionths, so that it does not depend on the order of addition."""
    score_square_sum: Mapped[int] = mapped_column("score_square_sum_millionths", BigInteger)
    """Sum of the squared scores, each rounded to millionths."""
    stamp: Mapped[int] = mapped_column(BigInteger, server_default="0", index=True)
    """As in `RequestRollup`."""


class RollupClock(Table):
    """The one row by which readers know that rollups changed or disappeared. Written only by triggers."""

    __tablename__ = "rollup_clock"

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    stamp: Mapped[int] = mapped_column(BigInteger)
    """The last stamp given on SQLite; unused on PostgreSQL."""
    removals: Mapped[int] = mapped_column(BigInteger)
    """Raised whenever rollups are deleted, or moved to another bucket: what was read before is void."""
