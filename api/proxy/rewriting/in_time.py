"""Work that a request waits for until its deadline and no longer, whatever hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

from api.errors import ArcpointApiError
from context_builder.question.request import QuestionError
from models.errors import DatabaseError

log = structlog.get_logger(__name__)

T = TypeVar("T")

FAULTS = (SQLAlchemyError, DatabaseError, QuestionError, OSError, TimeoutError)
"""What a database, or a context that is built from it, may fail with."""


class Unavailable(ArcpointApiError):
    """What was waited for failed, is late, or is not asked because it was late just now."""


class InTime:
    """Runs work beside the requests that wait for it; after a failure nothing is asked for a while."""

    def __init__(self, pause_s: float) -> None:
        """Ask nothing for `pause_s` after a failure."""
        self._pause_s = pause_s
        self._paused_until = 0.0
        self._tasks: set[asyncio.Task[Any]] = set()
        self.failures = 0

    async def result(self, work: Coroutine[Any, Any, T], until: float, what: str) -> T:
        """Return the result of work if it is there when the loop's clock says `until`.

        Work that is late goes on, so that its result is there for the next one.

        Raises:
            Unavailable: It is not there.
        """
        now = asyncio.get_running_loop().time()
        if now < self._paused_until:
            work.close()
            raise Unavailable(what)
        task = self._start(work)
        await asyncio.wait({task}, timeout=max(0.0, until - now))
        if task.done() and not task.cancelled() and task.exception() is None:
            return task.result()
        self._failed(what, "late" if not task.done() else repr(task.exception()))
        raise Unavailable(what)

    def later(self, work: Coroutine[Any, Any, object], what: str) -> None:
        """Do work that nobody waits for; dropped where the last one has just failed."""
        if asyncio.get_running_loop().time() < self._paused_until:
            work.close()
            return
        task = self._start(work)
        task.add_done_callback(lambda done: self._settled(done, what))

    async def close(self) -> None:
        """Wait for what has begun, cancelling nothing: decisions may be on their way into the database."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.ensure_future(_guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be waiting
        return task

    def _settled(self, task: asyncio.Task[Any], what: str) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._failed(what, repr(task.exception()))

    def _failed(self, what: str, why: str) -> None:
        self.failures += 1
        self._paused_until = asyncio.get_running_loop().time() + self._pause_s
        log.warning("proxy goes on without", what=what, why=why[:300])


async def _guarded(work: Coroutine[Any, Any, T]) -> T:
    """Do work; a failure that is foreseen becomes Unavailable, another one is a defect and says so."""
    try:
        return await work
    except FAULTS as error:
        raise Unavailable(repr(error)[:300]) from error
