"""One transaction, retried where another writer interferes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError

from models.database import Database, WriteSession

MAX_ATTEMPTS = 6
FIRST_PAUSE_S = 0.05

_TRANSIENT = {
    "40001",  # serialization failure
    "40P01",  # deadlock
    "23505",  # another writer created the same row, for example a rollup's bucket, a moment earlier
}

Result = TypeVar("Result")


async def commit(database: Database, work: Callable[[WriteSession], Awaitable[Result]]) -> Result:
    """Return the result of `work` in one transaction, which is rolled back and retried on conflicts.

    Raises:
        DBAPIError: the database failed, or the conflict lasted.
    """
    attempt = 1
    while True:
        try:
            async with database.write() as session:
                return await work(session)
        except DBAPIError as error:
            if attempt == MAX_ATTEMPTS or not _is_transient(error):
                raise
        await asyncio.sleep(FIRST_PAUSE_S * 2**attempt)
        attempt += 1


def _is_transient(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) in _TRANSIENT or "database is locked" in str(error.orig)
