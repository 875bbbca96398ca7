"""Admission: so many requests are at work at once, the others wait for a fair turn or are refused."""

from __future__ import annotations

import asyncio
import math
import time
from asyncio import Future
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from api.errors import ArcpointApiError
from context_builder.text.wire import WIRE

_RETRY_AFTER_S = 5
"""Suggested before any work was observed."""
_MAX_RETRY_AFTER_S = 60
_WEIGHT_OF_NEWEST = 0.1
"""In the moving mean of how long work takes."""


class Overloaded(ArcpointApiError):
    """A request that is refused because too many others are at work or wait."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        """`retry_after_s` is the time after which there should be room."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class QueueState:
    """Occupancy of one worker's slots and of the queue before them."""

    __pydantic_config__ = WIRE

    at_work: int
    """Requests that hold a slot."""
    max_at_work: int
    waiting: int
    """Requests that wait for a slot."""
    max_waiting: int
    oldest_waiting_s: float
    """How long the oldest of them has waited, in seconds; 0 if none waits."""
    refused: int
    """Responses with 503 since the worker started, whether the queue was full or the wait too long."""


@dataclass(eq=False, slots=True)
class _Waiter:
    asker: str
    since: float
    turn: Future[bool]
    """True if the waiter was given a slot, False if it had to make room for another asker."""

    def settle(self, *, admitted: bool) -> bool:
        """Decide about the waiter; returns False if it has just been cancelled and does not know it yet."""
        if self.turn.done():
            return False
        self.turn.set_result(admitted)
        return True

    @property
    def is_admitted(self) -> bool:
        return self.turn.done() and not self.turn.cancelled() and self.turn.result()


class Admission:
    """Slots for work, handed to waiting askers in turn: one each, in the order in which they came.

    Room in the queue is shared fairly as well. An asker alone may fill it; when it is full, another one takes
    the last place of the asker with most places, unless that left fewer of them than the other one has.
    """

    def __init__(
        self, *, slots: int, max_waiting: int, max_wait_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Let `slots` work at once and `max_waiting` wait, each for at most `max_wait_s` seconds."""
        self._slots = slots
        self._max_waiting = max_waiting
        self._max_wait_s = max_wait_s
        self._clock = clock
        self._at_work = 0
        self._refused = 0
        self._work_s: float | None = None
        """Moving mean of how long a slot is held; slots divided by it is the rate of completion."""
        self._queues: dict[str, deque[_Waiter]] = {}
        """Who waits, by asker; the first asker is next. None is empty, and all are if a slot is free."""

    @asynccontextmanager
    async def slot(self, asker: str) -> AsyncIterator[None]:
        """Hold a slot for the block, after waiting for it. Raises Overloaded."""
        if self._at_work < self._slots:
            self._at_work += 1
        else:
            await self._wait(asker)
        started = self._clock()
        try:
            yield
        finally:
            self._observe(self._clock() - started)
            self._release()

    def state(self) -> QueueState:
        """Return the occupancy now."""
        oldest = min((queue[0].since for queue in self._queues.values()), default=None)
        return QueueState(
            at_work=self._at_work,
            max_at_work=self._slots,
            waiting=self._waiting,
            max_waiting=self._max_waiting,
            oldest_waiting_s=0.0 if oldest is None else round(self._clock() - oldest, 3),
            refused=self._refused,
        )

    @property
    def _waiting(self) -> int:
        return sum(map(len, self._queues.values()))

    async def _wait(self, asker: str) -> None:
        """Wait for a slot. Raises Overloaded."""
        if self._turn_after_s(asker) > self._max_wait_s:
            raise self._refusal(asker, f"a turn takes more than {self._max_wait_s:g} s")
        self._make_room(asker)
        waiter = _Waiter(asker, self._clock(), asyncio.get_running_loop().create_future())
        self._queues.setdefault(asker, deque()).append(waiter)
        try:
            async with asyncio.timeout(self._max_wait_s):
                await waiter.turn
        except TimeoutError:
            pass  # unless the slot came at the last moment, it is refused below
        except asyncio.CancelledError:
            if waiter.is_admitted:  # in the same moment
                self._release()
            raise
        finally:
            self._remove(waiter)
        if waiter.turn.cancelled():
            raise self._refusal(asker, f"no turn came within {self._max_wait_s:g} s")
        if not waiter.is_admitted:
            raise self._refusal(asker, "the queue is full, and other askers wait for less")

    def _make_room(self, asker: str) -> None:
        """Leave a place for one more in the queue. Raises Overloaded."""
        if self._waiting < self._max_waiting:
            return
        longest = max(self._queues.values(), key=len, default=deque[_Waiter]())
        if len(longest) < len(self._queues.get(asker, ())) + 2:
            raise self._refusal(asker, f"{self._at_work} are at work and {self._waiting} wait")
        longest.pop().settle(admitted=False)

    def _remove(self, waiter: _Waiter) -> None:
        """Remove a waiter, if it is still there."""
        queue = self._queues.get(waiter.asker)
        if queue is not None and waiter in queue:
            queue.remove(waiter)
            if not queue:
                del self._queues[waiter.asker]

    def _release(self) -> None:
        """Pass a slot on to the next asker, who then goes behind the others."""
        while self._queues:
            asker = next(iter(self._queues))
            queue = self._queues.pop(asker)
            waiter = queue.popleft()
            if queue:
                self._queues[asker] = queue
            if waiter.settle(admitted=True):
                return
        self._at_work -= 1

    def _observe(self, work_s: float) -> None:
        known_s = work_s if self._work_s is None else self._work_s
        self._work_s = known_s + _WEIGHT_OF_NEWEST * (work_s - known_s)

    def _turn_after_s(self, asker: str) -> float:
        """Return when one more question of an asker would have its turn, at the observed rate, in seconds."""
        own = len(self._queues.get(asker, ()))
        ahead = own + sum(min(len(queue), own + 1) for one, queue in self._queues.items() if one != asker)
        return (ahead + 1) * (self._work_s or 0.0) / self._slots

    def _refusal(self, asker: str, why: str) -> Overloaded:
        self._refused += 1
        seconds = _RETRY_AFTER_S if self._work_s is None else self._turn_after_s(asker)
        retry_after_s = min(max(1, math.ceil(seconds)), _MAX_RETRY_AFTER_S)
        return Overloaded(f"too many questions at once: {why}; try again in {retry_after_s} s", retry_after_s)
