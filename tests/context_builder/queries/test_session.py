"""A query session ends by its deadline and leaves the connection usable."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from context_builder.queries import QueryTimeout, query_session
from models.database import Database
from models.errors import DatabaseUnreachable

pytestmark = pytest.mark.both_databases

FOREVER = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


async def test_a_statement_is_stopped_at_the_deadline(database: Database) -> None:
    """A running statement is stopped at the deadline with a helpful line; the next session works."""
    with pytest.raises(QueryTimeout, match=r"no answer within 0\.2 s; narrow the time span"):
        async with query_session(database, deadline_s=0.2) as session:
            await session.execute(text(FOREVER))
    for _ in range(3):
        async with query_session(database) as session:
            assert await session.scalar(text("SELECT 1")) == 1


async def test_a_caller_s_error_stays_what_it_is(database: Database) -> None:
    """Only the deadline raises QueryTimeout."""
    with pytest.raises(LookupError):
        async with query_session(database):
            raise LookupError


async def test_a_database_that_is_not_there_is_named() -> None:
    """The error names the address without its password."""
    database = Database("postgresql://reader:secret@127.0.0.1:9/none")
    with pytest.raises(DatabaseUnreachable) as caught:
        async with query_session(database):
            pass
    assert "127.0.0.1:9" in str(caught.value)
    assert "secret" not in str(caught.value)
    await database.close()
