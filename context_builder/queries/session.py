"""A read session with a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from context_builder.queries.errors import QueryTimeout
from models.database import Database, ReadSession
from models.snapshot import stop_statement_on_cancel

DEADLINE_S = 10.0
"""Generous, since every query reads a bounded number of rows."""


@asynccontextmanager
async def query_session(database: Database, *, deadline_s: float = DEADLINE_S) -> AsyncIterator[ReadSession]:
    """Open a session on what is committed now; its block, with every statement in it, ends by the deadline.

    Raises:
        QueryTimeout: The block took longer than `deadline_s` seconds.
        DatabaseUnreachable: The database does not answer, or stops answering.
    """
    try:
        async with asyncio.timeout(deadline_s), database.read() as session:
            with database.connecting():
                connection = await session.connection()
            async with stop_statement_on_cancel(connection):
                with database.connected():
                    yield session
    except TimeoutError:
        raise QueryTimeout(
            f"no answer within {deadline_s:g} s; narrow the time span, or filter by users or deployments"
        ) from None
