"""How many rows there are of which a source has read some."""

from __future__ import annotations

from sqlalchemy import ColumnElement, func, select

from models.database import ReadSession
from models.tables.schema import Table


async def count_rows(
    session: ReadSession, table: type[Table], condition: ColumnElement[bool], *, read: int = 0, limit: int = 0
) -> int:
    """Return the number of rows of a table that meet a condition.

    With `read` rows read of at most `limit` the database is asked only if there may be more.
    """
    if read < limit:
        return read
    return await session.scalar(select(func.count()).select_from(table).where(condition)) or 0
