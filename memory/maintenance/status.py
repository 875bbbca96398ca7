"""The state of incident memory, for operators."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from memory.embedding.embedder import Embedder
from memory.entries.entries import Entries
from memory.entries.outbox import backlog
from memory.entries.texts import is_recallable
from memory.errors import MemoryUnavailable
from memory.index.active_index import KeptIndex, find_active, kept, require_active
from memory.index.contract import VectorIndex
from memory.maintenance import collection
from models import EntrySource, Incident, MemoryEntry, Postmortem, ReviewStatus
from models.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryStatus:
    """The state of incident memory."""

    unavailable: str | None
    """Why recalls fail and what to do; None if they work."""
    collection: str | None
    model_id: str | None
    entries: int
    """Incidents with a text and an embedding in the database."""
    drafts: int
    """Incidents that are recalled only as drafts, by their record or by their postmortem."""
    rejected: int
    """Resolved incidents that are not recalled because a person rejected them."""
    vectors: int | None
    """Rows of the index: incidents with the same text share one."""
    lag: int
    """Resolved incidents that a recall cannot find yet."""
    waiting: int
    """Rows of the outbox."""
    waiting_since: datetime | None
    self_hit_rate: float | None
    """Share of sampled rows found by their own vector; a low share calls for a rebuild."""
    kept: tuple[KeptIndex, ...]
    """All collections that serve or could serve again, newest first."""


async def memory_status(
    database: Database, embedder: Embedder, index: VectorIndex, entries: Entries
) -> MemoryStatus:
    """Return the state of memory; never raises MemoryUnavailable."""
    draft = (Incident.review == ReviewStatus.DRAFT) | (
        (Postmortem.status == ReviewStatus.DRAFT)
        & Incident.root_cause.is_(None)
        & Incident.resolution.is_(None)
    )
    rejected = (Incident.review == ReviewStatus.REJECTED) & Incident.forgotten_at.is_(None)
    async with database.read() as session:
        active = await find_active(session)
        all_kept = await kept(session)
        waiting = await backlog(session)
        counts = (
            await session.execute(
                select(
                    func.count().filter(is_recallable()).label("recallable"),
                    func.count().filter(is_recallable(), draft).label("drafts"),
                    func.count().filter(rejected).label("rejected"),
                )
                .select_from(Incident)
                .outerjoin(Postmortem)
            )
        ).one()
        remembered = await session.scalar(
            select(func.count(func.distinct(MemoryEntry.incident_id))).where(
                MemoryEntry.source == EntrySource.INCIDENT
            )
        )
    name = active.collection if active is not None else None
    vectors = rate = unavailable = None
    current = 0
    try:
        await embedder.load()
        name = require_active(active).collection
        require_active(active).require_fit(embedder)
        stored = await index.stamps(name)
        held = {key: text for key, text in (await entries.texts()).items() if key in stored}
        current = sum(text.incidents for key, text in held.items() if stored[key] == text.stamp)
        vectors = await index.count(name)
        rate = await collection.self_hit_rate(index, name, entries, held)
    except MemoryUnavailable as error:
        unavailable = str(error)
    return MemoryStatus(
        unavailable=unavailable,
        collection=name,
        model_id=active.model_id if active is not None else None,
        entries=remembered or 0,
        drafts=counts.drafts,
        rejected=counts.rejected,
        vectors=vectors,
        lag=counts.recallable - current,
        waiting=waiting.rows,
        waiting_since=waiting.since,
        self_hit_rate=rate,
        kept=all_kept,
    )
