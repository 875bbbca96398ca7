"""Counts of what an update of memory has changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

Progress = Callable[[int, int], None]
"""Called with the number done and the total."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What an update of entries, of a collection, or of both has changed."""

    entries: int = 0
    """Incidents in memory now; after `process_outbox` those that it looked at."""
    embedded: int = 0
    removed: int = 0
    """Incidents that memory no longer holds."""
    upserted: int = 0
    deleted: int = 0
    """Rows of the index without an entry."""

    def __add__(self, other: Changes) -> Changes:
        sums = {each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(Changes)}
        return Changes(**sums)
