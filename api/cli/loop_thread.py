"""An event loop in its own thread, which keeps running while a prompt waits for input."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")

_CANCEL_S = 10.0
"""Grace period for the cleanup of an interrupted task, in seconds."""


class LoopThread:
    """Runs coroutines one at a time on a loop that keeps running; use it in a `with` block."""

    def __enter__(self) -> Self:
        started: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=self._serve, args=(started,), name="loop", daemon=True)
        self._thread.start()
        self._loop = started.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return the coroutine's result. Ctrl-C cancels it and is raised after its cleanup."""
        ended = threading.Event()

        async def work() -> T:
            try:
                return await coroutine
            finally:
                ended.set()

        future = asyncio.run_coroutine_threadsafe(work(), self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            ended.wait(_CANCEL_S)
            raise

    @contextmanager
    def entered(self, manager: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """Enter the manager, in a task that also leaves it."""
        opened: Future[T] = Future()
        leave = asyncio.Event()

        async def hold() -> None:
            async with manager as value:
                opened.set_result(value)
                await leave.wait()

        keeper = asyncio.run_coroutine_threadsafe(hold(), self._loop)
        keeper.add_done_callback(lambda done: _pass_on(done, opened))
        try:
            yield opened.result()
        finally:
            self._loop.call_soon_threadsafe(leave.set)
            keeper.result()

    @staticmethod
    def _serve(started: Future[asyncio.AbstractEventLoop]) -> None:
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            loop.call_soon(started.set_result, loop)
            loop.run_forever()


def _pass_on(keeper: Future[None], opened: Future[T]) -> None:
    """Pass the error of a failed start on to the waiting caller."""
    error = keeper.exception()
    if error is not None and not opened.done():
        opened.set_exception(error)
