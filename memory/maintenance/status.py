"""How incident memory is doing, for the people who run it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from memory.embedding.embedder import Embedder
from memory.entries.entries import Entries
from memory.entries.outbox import backlog
from memory.entries.texts import memorable
from memory.errors import MemoryUnavailable
from memory.index.active_index import KeptIndex, find_active, kept, require_active
from memory.index.contract import VectorIndex
from memory.maintenance import collection
from models import EntrySource, Incident, MemoryEntry, Postmortem, ReviewStatus
from models.database import Database, ReadSession


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryStatus:
    """How incident memory is doing."""

    unavailable: str | None
    """Why recalls fail and what to do; None: they work."""
    collection: str | None
    model_id: str | None
    entries: int
    """Incidents whose text and embedding are in the database."""
    drafts: int
    """Incidents that are recalled as drafts only, by their record or by their postmortem."""
    rejected: int
    """Resolved incidents that are not recalled because somebody rejected them."""
    vectors: int | None
    """Rows of the index: incidents that read the same share one."""
    lag: int
    """Resolved incidents that a recall cannot find yet."""
    waiting: int
    """Rows of the outbox."""
    waiting_since: datetime | None
    self_hit_rate: float | None
    """Share of sampled entries that their own vector finds; too few call for a rebuild."""
    kept: tuple[KeptIndex, ...]
    """All collections that there still are, the newest first."""


async def memory_status(
    database: Database, embedder: Embedder, index: VectorIndex, entries: Entries
) -> MemoryStatus:
    """How memory is doing; never raises MemoryUnavailable."""
    async with database.read() as session:
        active = await find_active(session)
        all_kept = await kept(session)
        incidents = await session.scalar(select(func.count()).select_from(Incident).where(memorable())) or 0
        waiting = await backlog(session)
        drafts, rejected = await _drafts(session), await _rejected(session)
        held = (
            await session.scalar(
                select(func.count(func.distinct(MemoryEntry.incident_id))).where(
                    MemoryEntry.source == EntrySource.INCIDENT
                )
            )
            or 0
        )
    name = active.collection if active is not None else None
    vectors = rate = unavailable = None
    current = 0
    try:
        await embedder.load()
        name = require_active(active).collection
        require_active(active).require_fit(embedder)
        stored = await index.stamps(name)
        texts = (await entries.texts()).items()
        current = sum(text.incidents for key, text in texts if stored.get(key) == text.stamp)
        vectors = await index.count(name)
        rate = await collection.self_hit_rate(index, name, entries, stored.keys())
    except MemoryUnavailable as error:
        unavailable = str(error)
    return MemoryStatus(
        unavailable=unavailable,
        collection=name,
        model_id=active.model_id if active is not None else None,
        entries=held,
        drafts=drafts,
        rejected=rejected,
        vectors=vectors,
        lag=incidents - current,
        waiting=waiting.rows,
        waiting_since=waiting.since,
        self_hit_rate=rate,
        kept=all_kept,
    )


async def _drafts(session: ReadSession) -> int:
    return (
        await session.scalar(
            select(func.count())
            .select_from(Incident)
            .outerjoin(Postmortem)
            .where(
                memorable(),
                (Incident.review == ReviewStatus.DRAFT)
                | (
                    (Postmortem.status == ReviewStatus.DRAFT)
                    & Incident.root_cause.is_(None)
                    & Incident.resolution.is_(None)
                ),
            )
        )
        or 0
    )


async def _rejected(session: ReadSession) -> int:
    return (
        await session.scalar(
            select(func.count())
            .select_from(Incident)
            .where(Incident.review == ReviewStatus.REJECTED, Incident.forgotten_at.is_(None))
        )
        or 0
    )
