"""A session for queries, with a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from context_builder.errors import ContextBuilderError
from models.database import Database, ReadSession
from models.snapshot import stop_statement_on_cancel

DEADLINE_S = 10.0
"""Generous: every query reads a bounded number of rows."""


class QueryTimeout(ContextBuilderError):
    """The queries of a session took longer than its deadline."""


@asynccontextmanager
async def reading(database: Database, *, deadline_s: float = DEADLINE_S) -> AsyncIterator[ReadSession]:
    """One session on what is committed now; its block, with every statement in it, ends by the deadline.

    Raises QueryTimeout, and DatabaseUnreachable where nothing answers or stops answering.
    """
    try:
        async with asyncio.timeout(deadline_s), database.read() as session:
            with database.reaching():
                connection = await session.connection()
            async with stop_statement_on_cancel(connection):
                with database.staying():
                    yield session
    except TimeoutError:
        raise QueryTimeout(
            f"no answer within {deadline_s:g} s; narrow the time span, or name users or deployments"
        ) from None
