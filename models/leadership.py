"""Which of the processes on one database does work that only one of them may do."""

from __future__ import annotations

import asyncio
import fcntl
import os
from contextlib import suppress
from typing import Any

from models.database import Database
from models.errors import DatabaseUnreachable
from models.postgresql_url import connect, driver_errors

_ANSWER_S = 5.0
"""Within this a held lock shows that its connection lives; after it another process may have the lock."""
_TRY = "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))"


class Leadership:
    """A lock that at most one process holds, and that is free as soon as its holder dies.

    On PostgreSQL it is an advisory lock of a transaction that stays open on a connection of its own: a lock
    of a session would be lost behind a pooler. On SQLite it is the lock of a file beside the database.
    """

    def __init__(self, database: Database, work: str) -> None:
        """`work` names what is done by one process at a time."""
        self._database = database
        self._work = work
        self._connection: Any = None
        self._file: int | None = None
        self._turn = asyncio.Lock()

    async def is_held(self) -> bool:
        """Return whether this process has the lock, after taking it if it is free.

        Raises:
            DatabaseUnreachable: it cannot be known; the lock is not held any more.
        """
        async with self._turn:
            if self._database.is_sqlite:
                if self._file is None:
                    self._file = await asyncio.to_thread(self._locked_file)
                return self._file is not None
            try:
                async with asyncio.timeout(_ANSWER_S):
                    return await self._is_held_on_a_connection()
            except BaseException as error:
                self._drop()
                if isinstance(error, (OSError, TimeoutError, *driver_errors())):
                    reason = str(error) or f"no answer within {_ANSWER_S:g} s"
                    raise DatabaseUnreachable(f"{self._database.shown_url}: {reason}") from error
                raise

    async def release(self) -> None:
        """Let another process have the lock; on return it is free, unless the database does not answer."""
        try:
            await self._roll_back()
        finally:
            self._drop()
        file, self._file = self._file, None
        if file is not None:
            await asyncio.to_thread(os.close, file)

    async def _is_held_on_a_connection(self) -> bool:
        if self._connection is not None:
            await self._connection.execute("SELECT 1")
            return True
        self._connection = await connect(self._database.url)
        # Idle for as long as the work takes, it would be ended by a server that bounds that.
        await self._connection.execute("BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0")
        if await self._connection.fetchval(_TRY, f"arcpoint {self._work}"):
            # A result keeps its snapshot until the next statement: VACUUM would wait for it.
            await self._connection.execute("SELECT 1")
            return True
        # One that waits for its turn holds no connection meanwhile.
        self._drop()
        return False

    async def _roll_back(self) -> None:
        # A closed connection frees the lock only once the server has noticed; the next one may be faster.
        if self._connection is None:
            return
        with suppress(OSError, TimeoutError, *driver_errors()):
            async with asyncio.timeout(_ANSWER_S):
                await self._connection.execute("ROLLBACK")

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    def _locked_file(self) -> int | None:
        """Lock the file; None if another process has it. Blocks."""
        path = f"{self._database.path}-{self._work}"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException as error:
            os.close(file)
            if isinstance(error, BlockingIOError):
                return None
            raise
        return file
