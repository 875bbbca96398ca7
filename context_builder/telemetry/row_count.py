"""How many rows a source could show, counted before it reads some of them."""

from __future__ import annotations

from sqlalchemy import ColumnElement, func, select

from models.database import ReadSession
from models.tables.schema import Table


async def count_rows(session: ReadSession, table: type[Table], condition: ColumnElement[bool]) -> int:
    """Return the number of rows of a table that meet a condition."""
    return await session.scalar(select(func.count()).select_from(table).where(condition)) or 0
