"""What was forecast of deployments beside what came, and how their breakers changed state."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, CheckConstraint, Float, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.schema import PrimaryKey, Table, UtcDateTime


class RiskForecast(Table):
    """One forecast of a deployment, and its outcome once its horizon has passed."""

    __tablename__ = "risk_forecasts"
    __table_args__ = (
        UniqueConstraint("deployment_id", "made_at", name="uq_risk_forecasts_one_a_moment"),
        CheckConstraint("due_at > made_at", name="due_later"),
        Index(None, "due_at"),
    )

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    deployment_id: Mapped[int] = mapped_column(ForeignKey("deployments.id"))
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """End of the last minute that the forecast knew."""
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """End of its horizon."""
    expert: Mapped[str] = mapped_column(String(50))
    """The forecaster that spoke; `none` if the forecast was withheld."""
    now_ms: Mapped[float] = mapped_column(Float)
    """p95 latency when it was made, which is what "as now" forecasts."""
    expected_ms: Mapped[float | None] = mapped_column(Float)
    low_ms: Mapped[float | None] = mapped_column(Float)
    high_ms: Mapped[float | None] = mapped_column(Float)
    limit_ms: Mapped[float | None] = mapped_column(Float)
    breach_probability: Mapped[float | None] = mapped_column(Float)
    outcome_ms: Mapped[float | None] = mapped_column(Float)
    """p95 latency at the end of the horizon; None until then, or if nothing was measured."""
    breached: Mapped[bool | None] = mapped_column(Boolean)
    """Whether the limit was crossed within the horizon; None until it has passed."""
    matured_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the outcome was stored; set too if nothing was measured."""


class RiskTransition(Table):
    """A change of the state that a deployment's breaker is in."""

    __tablename__ = "risk_transitions"
    __table_args__ = (Index(None, "deployment_id", "at"), Index(None, "at"))

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    deployment_id: Mapped[int] = mapped_column(ForeignKey("deployments.id"))
    from_state: Mapped[str] = mapped_column(String(20))
    to_state: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str] = mapped_column(Text)
    """Why, in words."""
    shadow: Mapped[bool] = mapped_column(Boolean)
    """True if the breaker only advised."""
