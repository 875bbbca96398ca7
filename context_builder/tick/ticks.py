"""The ticks of a worker: the one in use, and the next one, which is made beside it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from context_builder.tick.tick import Tick

OpenTick = Callable[[], AbstractAsyncContextManager[Tick]]
_EARLY = 0.7
"""The next tick is begun when this share of a tick's age is over, so that nobody waits for it."""


class _HeldTick:
    """A tick that a task of its own holds open while it may be used, and until its last user leaves."""

    def __init__(self, opened: OpenTick, max_age_s: float) -> None:
        self._begun = time.monotonic()
        self._max_age_s = max_age_s
        self._users = 0
        self._is_over = False
        self._released = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[Tick] = loop.create_future()
        self.task = asyncio.create_task(self._run(opened))
        self.task.add_done_callback(self._ended)
        # An open snapshot keeps a database from cleaning up, so it ends in time even if nobody asks again.
        loop.call_later(max_age_s, self.end)

    @property
    def age_s(self) -> float:
        """Return the seconds since it was begun; what it shows is no older."""
        return time.monotonic() - self._begun

    @property
    def is_usable(self) -> bool:
        """Return whether a question that begins now may use it."""
        failed = self.ready.done() and (self.ready.cancelled() or self.ready.exception() is not None)
        return not self._is_over and self.age_s < self._max_age_s and not failed

    def end(self) -> None:
        """Take no more users, and close it after the last one."""
        self._is_over = True
        if not self._users:
            self._released.set()

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Tick]:
        """Keep it open for a question."""
        self._users += 1
        try:
            yield await asyncio.shield(self.ready)
        finally:
            self._users -= 1
            if self._is_over:
                self.end()

    async def _run(self, opened: OpenTick) -> None:
        async with opened() as tick:
            self.ready.set_result(tick)
            await self._released.wait()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Tell those who wait for it that it could not be opened."""
        error = None if task.cancelled() else task.exception()
        if self.ready.done():
            return
        if error is None:
            self.ready.cancel()
        else:
            self.ready.set_exception(error)
            self.ready.exception()  # nobody may be waiting


class Ticks:
    """Gives every question a tick that is at most `max_age_s` old; with 0, one of its own."""

    def __init__(
        self,
        opened: OpenTick,
        *,
        max_age_s: float = 0.0,
        prepare: Callable[[Tick], Awaitable[None]] | None = None,
    ) -> None:
        """Open ticks with `opened`; `prepare` reads what will be asked of one before it comes into use."""
        self._opened = opened
        self._max_age_s = max_age_s
        self._prepare = prepare
        self._current: _HeldTick | None = None
        self._next: _HeldTick | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._preparing: set[asyncio.Task[None]] = set()

    def live(self) -> AbstractAsyncContextManager[Tick]:
        """Use the current tick, or a new one if there is none that is new enough.

        Raises:
            DatabaseUnreachable: The database does not answer.
        """
        return self._fresh().use() if self._max_age_s else self.alone()

    def alone(self) -> AbstractAsyncContextManager[Tick]:
        """Open a tick for one question. Raises DatabaseUnreachable."""
        return self._opened()

    def expire(self) -> None:
        """Give no question a tick from before now: this process has just changed what ticks show."""
        for held in (self._current, self._next):
            if held is not None:
                held.end()
        self._current = self._next = None

    async def close(self) -> None:
        """Read nothing more ahead, close every tick, and wait for those in use."""
        self.expire()
        for task in self._preparing:
            task.cancel()
        await asyncio.gather(*self._preparing, *self._tasks, return_exceptions=True)

    def _fresh(self) -> _HeldTick:
        if self._next is not None and not self._next.is_usable:
            self._next = None
        current = self._current
        if current is None or not current.is_usable:
            return self._swap(self._next or self._begin())
        if self._next is None and current.age_s >= _EARLY * self._max_age_s:
            self._next = self._begin()
            preparing = asyncio.create_task(self._prepare_next(self._next))
            self._preparing.add(preparing)
            preparing.add_done_callback(self._preparing.discard)
        return current

    def _begin(self) -> _HeldTick:
        held = _HeldTick(self._opened, self._max_age_s)
        self._tasks.add(held.task)
        held.task.add_done_callback(self._tasks.discard)
        return held

    def _swap(self, held: _HeldTick) -> _HeldTick:
        """Put another tick into use."""
        if self._current is not None:
            self._current.end()
        self._current, self._next = held, None
        return held

    async def _prepare_next(self, held: _HeldTick) -> None:
        """Read in the next tick what was asked of the current one, then put it into use."""
        await asyncio.wait({held.ready})
        if held.is_usable and self._prepare is not None:
            async with held.use() as tick:
                await self._prepare(tick)
        if self._next is held and held.is_usable:
            self._swap(held)
