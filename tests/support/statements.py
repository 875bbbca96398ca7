"""What is sent to a database, and how many rows come back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from context_builder.exploration.exploration import Exploration
from context_builder.source import ContextSource
from models.database import Database
from tests.support.gateway import Gateway, asking
from tests.support.rollup_views import rollups_of

Statement = tuple[str, Any]


@contextmanager
def captured(database: Database) -> Iterator[list[Statement]]:
    """Every statement that is sent to the database meanwhile, with its values."""
    statements: list[Statement] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append((statement, parameters))

    event.listen(database.read_engine.sync_engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(database.read_engine.sync_engine, "before_cursor_execute", note)


async def rows_fetched(gateway: Gateway, source: ContextSource) -> int:
    """How many rows all statements of a source give together, found out by sending them again."""
    async with rollups_of(gateway.database) as rollups:
        with captured(gateway.database) as statements:
            await source.read(asking(), gateway._stores(rollups, Exploration(rollups)))
    async with gateway.database.read() as session:
        connection = await session.connection()
        selects = [one for one in statements if one[0].lstrip().startswith("SELECT")]
        results = [await connection.exec_driver_sql(sql, values) for sql, values in selects]
        return sum(len(result.all()) for result in results)
