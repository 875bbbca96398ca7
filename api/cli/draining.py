"""A stop in two steps: first the service says that it drains, then it stops to listen."""

from __future__ import annotations

import asyncio
import signal
from types import FrameType

from starlette.datastructures import State

WAIVE_DRAIN = signal.SIGURG
"""Sent to a worker that another replaces: its port stays, so nobody has to turn away. Ignored elsewhere."""


def drain_before_stop(state: State, drain_s: float) -> None:
    """Let SIGTERM first set `state.is_draining`, and stop the server after `drain_s`; a second one, at once.

    To be called within the event loop of the main thread, once the server has installed its own handlers.
    """
    stop = signal.getsignal(signal.SIGTERM)
    loop = asyncio.get_running_loop()
    seconds = drain_s

    def waive(_number: int, _frame: FrameType | None) -> None:
        nonlocal seconds
        seconds = 0

    def drain(number: int, frame: FrameType | None) -> None:
        if not callable(stop):  # pragma: no cover  a server always has a handler
            return
        if seconds == 0 or state.is_draining:
            state.is_draining = True
            stop(number, frame)
            return
        state.is_draining = True
        loop.call_soon_threadsafe(loop.call_later, seconds, stop, number, frame)

    signal.signal(signal.SIGTERM, drain)
    signal.signal(WAIVE_DRAIN, waive)
