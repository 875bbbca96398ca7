"""One thread for all file work of a load."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


class FileThread:
    """Runs blocking functions one after the other, so that a file is never closed while it is read."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ingest")

    async def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """The function's result; cancelling the wait lets the function finish."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)

    def end(self) -> None:
        """Lets the thread finish what it was given, then end."""
        self._executor.shutdown(wait=False)
