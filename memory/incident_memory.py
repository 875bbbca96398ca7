"""Remembers resolved incidents and recalls those that resemble a question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from memory.embedder import Embedder
from memory.index import VectorIndex
from memory.recall import Recall, RecallQuery
from models.database import Database, ReadSession

Progress = Callable[[int, int], None]
"""Called with how many are done and how many there are."""

Redact = Callable[[str], str]
"""Replaces secrets in a text before it is embedded or stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """What bringing memory up to date has changed."""

    collection: str
    entries: int
    """Resolved incidents in memory now."""
    embedded: int
    removed: int
    """Entries of incidents that are no longer resolved."""
    upserted: int
    deleted: int
    """Rows of the index that no entry stands behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryStatus:
    """How incident memory is doing."""

    unavailable: str | None
    """Why recalls fail and what to do; None: they work."""
    collection: str | None
    model_id: str | None
    entries: int
    vectors: int | None
    lag: int
    """Resolved incidents that a recall cannot find yet."""
    self_hit_rate: float | None
    """Share of sampled entries that their own vector finds first; less than 1 calls for a rebuild."""


class IncidentMemory:
    """Incident memory over one database, which is the truth, and one index, which is derived from it."""

    def __init__(
        self,
        database: Database,
        embedder: Embedder,
        index: VectorIndex,
        *,
        deadline_s: float = 2.0,
        redact: Redact = str,
    ) -> None:
        """`deadline_s` bounds every recall; `redact` sees each text before it is embedded or stored."""

    async def start(self) -> None:
        """Begins to load the model and to open the index, in the background; never raises."""
        raise NotImplementedError

    async def close(self) -> None:
        """Stops the background work and lets go of the model and the index."""
        raise NotImplementedError

    async def recall(
        self, session: ReadSession, queries: Sequence[RecallQuery], *, as_of: datetime, limit: int = 3
    ) -> Recall:
        """Incidents resolved before `as_of` that resemble the queries, at most `limit` in all.

        Raises MemoryUnavailable, at the latest when the deadline is over.
        """
        raise NotImplementedError

    async def sync(self, progress: Progress | None = None) -> SyncReport:
        """Brings entries and the active collection up to date. Raises MemoryUnavailable."""
        raise NotImplementedError

    async def rebuild(self, progress: Progress | None = None) -> SyncReport:
        """Builds and verifies a new collection, then lets it serve. Raises MemoryUnavailable."""
        raise NotImplementedError

    async def status(self) -> MemoryStatus:
        """How memory is doing; never raises MemoryUnavailable."""
        raise NotImplementedError
