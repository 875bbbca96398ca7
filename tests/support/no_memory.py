"""Incident memory that is down, for tests that are not about memory."""

from __future__ import annotations

from typing import Any, NoReturn, cast

from memory.errors import MemoryUnavailable
from memory.incident_memory import IncidentMemory


class _NoMemory:
    async def recall(self, *_: object, **__: Any) -> NoReturn:
        raise MemoryUnavailable("memory is down for this test")


NO_MEMORY = cast("IncidentMemory", _NoMemory())
