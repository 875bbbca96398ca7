"""Files that hold days of the request log instead of the database."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.schema import Table, UtcDateTime, enum_check


class ColdState(StrEnum):
    """`moving`: some rows of the file may be in the database, too; `cold`: none is."""

    MOVING = "moving"
    COLD = "cold"


class ColdDay(Table):
    """One file with requests of one UTC day; a day has several if requests of it came in later.

    Written only through `models.request_log.cold`.
    """

    __tablename__ = "cold_days"
    __table_args__ = (enum_check("state", ColdState),)

    path: Mapped[str] = mapped_column(String(100), primary_key=True)
    """Name of the file within the place of all cold days."""
    day: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    """Start of the day."""
    rows: Mapped[int] = mapped_column(BigInteger)
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    """Of the rows in their order, so that a copy with another compression is the same."""
    last_id: Mapped[int] = mapped_column(BigInteger)
    """Highest id in the file: no later request may get one of these again."""
    state: Mapped[str] = mapped_column(String(10))
    moved_at: Mapped[datetime] = mapped_column(UtcDateTime)
