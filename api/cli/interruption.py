"""Stops work on Ctrl-C or SIGTERM; what follows it still runs."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def until_stopped(work: Coroutine[Any, Any, None]) -> bool:
    """Run work to its end, or until Ctrl-C or SIGTERM cancels it. Returns True if it was stopped.

    A second signal ends the process in the usual way.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    for number in _SIGNALS:
        # Only once: its cleanup must not be cancelled.
        loop.add_signal_handler(number, lambda: task.cancelling() or task.cancel())
    try:
        await asyncio.wait([task])
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
    if task.cancelled():
        return True
    task.result()
    return False
