"""Work that several tasks wait for, done once for all of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar, cast

T = TypeVar("T")


class SharedWork:
    """Tasks by key; each is started by the first who waits for it, and ended if nobody does any longer."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Future[Any]] = {}
        self._waiting: Counter[asyncio.Future[Any]] = Counter()
        self._abandoned: set[asyncio.Future[Any]] = set()

    def known(self, key: Hashable) -> Any:
        """Return the result of a key's task; None if it has none yet, or failed."""
        task = self._tasks.get(key)
        is_known = task is not None and task.done() and not task.cancelled() and task.exception() is None
        return task.result() if task is not None and is_known else None

    async def result(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """Return the result of a key's task, a failure included, until the work is closed.

        A caller's cancellation or deadline does not reach the others.
        """
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.ensure_future(work())
        self._waiting[task] += 1
        try:
            return cast("T", await asyncio.shield(task))
        finally:
            self._waiting[task] -= 1
            if not self._waiting[task]:
                del self._waiting[task]
                if not task.done():
                    if self._tasks.get(key) is task:  # unless it was forgotten, or everything is being closed
                        del self._tasks[key]
                    self._abandon(task)

    def forget(self, key: Hashable) -> None:
        """Let the next caller start again; those who wait still get the result."""
        self._tasks.pop(key, None)

    async def close(self) -> None:
        """Cancel what still runs and wait for its end."""
        for task in self._tasks.values():
            self._abandon(task)
        self._tasks.clear()
        await asyncio.gather(*self._abandoned, return_exceptions=True)

    def _abandon(self, task: asyncio.Future[Any]) -> None:
        """Cancel a task once: a second time would interrupt how it cleans up."""
        self._abandoned.add(task)
        task.add_done_callback(self._abandoned.discard)
        task.cancel()
