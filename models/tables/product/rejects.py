"""Items that were sent and could not be stored; the newest are kept for a while."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.schema import PrimaryKey, Table, UtcDateTime


class IngestReject(Table):
    """One rejected item of one post."""

    __tablename__ = "ingest_rejects"
    __table_args__ = (Index(None, "received_at"),)

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    source: Mapped[str] = mapped_column(String(100))
    """Kind of record or receiver that was posted to."""
    item: Mapped[int] = mapped_column(Integer)
    """Index of the item in the body, from 0."""
    field: Mapped[str] = mapped_column(String(100))
    reason: Mapped[str] = mapped_column(Text)
    original: Mapped[str | None] = mapped_column(Text)
    """Known fields of the item as JSON, redacted and cut; None if it could not be read at all."""
