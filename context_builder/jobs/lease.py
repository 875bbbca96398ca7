"""Leases: which process owns a row, until when, and when another process may take it over.

An owned row has two columns: `owner`, the identity of a process, and `leased_until`. A lease is renewed while
its owner works. It ends when it expires, or as soon as its owner is known to be dead.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from context_builder.errors import ContextBuilderError
from context_builder.text.clock import utc_now

LEASE = timedelta(minutes=5)
"""How long an owner that may still be alive keeps a row without renewing its lease."""
NOBODY = ""
"""The owner of a row that any process may take."""

_RENEWALS_PER_LEASE = 3
_MAX_HOST_CHARACTERS = 120


class LeaseLost(ContextBuilderError):
    """Another process owns the row now."""


class Lease:
    """The identity and terms under which this process owns rows."""

    def __init__(
        self,
        *,
        owner: str | None = None,
        duration: timedelta = LEASE,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """`owner` defaults to the identity of this process."""
        self.clock = clock
        self._owner = owner
        self._duration = duration

    async def owner(self) -> str:
        """Return the identity under which this process owns rows."""
        if self._owner is None:
            self._owner = await asyncio.to_thread(process_identity)
        return self._owner

    async def mine(self) -> dict[str, object]:
        """Return the column values of a row that this process owns from now on."""
        return {"owner": await self.owner(), "leased_until": self.clock() + self._duration}

    def nobody(self) -> dict[str, object]:
        """Return the column values of a row that any process may take."""
        return {"owner": NOBODY, "leased_until": self.clock()}

    async def is_free(self, owner: str, leased_until: datetime) -> bool:
        """Return whether a row may be taken over: nobody owns it, its lease expired or its owner is dead."""
        if owner == NOBODY or leased_until <= self.clock():
            return True
        return await asyncio.to_thread(is_dead, owner)

    @asynccontextmanager
    async def held(self, renew: Callable[[dict[str, object]], Awaitable[None]]) -> AsyncIterator[None]:
        """Renew leases while the block runs. `renew` stores the given column values in the owned rows."""
        task = asyncio.create_task(self._renew_forever(renew))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _renew_forever(self, renew: Callable[[dict[str, object]], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(self._duration.total_seconds() / _RENEWALS_PER_LEASE)
            # A failed renewal is retried; the lease expires only if all attempts fail.
            with suppress(SQLAlchemyError, OSError):
                await renew(await self.mine())


def process_identity() -> str:
    """Return `host:pid:start` of this process. Blocks."""
    return f"{_host()}:{os.getpid()}:{_start_s(os.getpid())}"


def is_dead(owner: str) -> bool:
    """Return whether a process is known to have ended; always False for one on another host. Blocks."""
    import psutil  # noqa: PLC0415  as below

    host, pid, start = owner.rsplit(":", 2) if owner.count(":") >= 2 else ("", "", "")  # noqa: PLR2004  three parts
    # Version 0.1.0 stored clock ticks, without a decimal point: not comparable.
    if host != _host() or not pid.isdecimal() or "." not in start:
        return False
    try:
        return _start_s(int(pid)) != start
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


def _start_s(pid: int) -> str:
    """Return the start of a process in seconds since boot, which setting the clock does not change.

    Raises:
        psutil.NoSuchProcess: it has ended, even if its parent has not collected its exit code yet.
    """
    import psutil  # noqa: PLC0415  a question without a paid call needs none

    process = psutil.Process(pid)
    if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
        raise psutil.NoSuchProcess(pid)
    return f"{process.create_time() - psutil.boot_time():.2f}"


def _host() -> str:
    """Return the host name, with the process namespace on Linux: a pid is unique only within it."""
    name = socket.gethostname().replace(":", "_")[:_MAX_HOST_CHARACTERS]
    try:
        return f"{name}/{Path('/proc/self/ns/pid').readlink().name.strip('pid:[]')}"
    except OSError:
        return name
