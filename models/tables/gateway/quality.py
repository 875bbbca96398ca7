"""Quality scores of answered requests; they arrive hours after the request."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, Float, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.schema import PrimaryKey, Table, UtcDateTime


class QualityScore(Table):
    """A score in [0, 1] of one request. Written only through `models.quality_log`."""

    __tablename__ = "quality_scores"
    __table_args__ = (
        CheckConstraint("score >= 0 AND score <= 1", name="score_in_unit_interval"),
        Index(None, "scored_at"),
    )

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    request_id: Mapped[int] = mapped_column(PrimaryKey, unique=True)
    """Database id of the request, which stays its own when its day is moved to a file."""
    score: Mapped[float] = mapped_column(Float)
    scorer: Mapped[str] = mapped_column(String(100))
    scored_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When the score arrived; it is unknown before."""
