"""The real memory over SQL and Chroma: does anything come back that was not over yet, or the asker itself?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from memory.embedding.embedder import Embedder
from memory.incident_memory import IncidentMemory
from memory.index.chroma import ChromaIndex
from memory.recall.results import Recall, RecallQuery
from models import Incident
from models.database import Database
from models.migrations import upgrade
from tests.evaluation.recall.contest import Entry
from tests.evaluation.recall.corpus import Corpus, PastIncident
from tests.evaluation.store import url_of

_DEADLINE_S = 60.0
_LIMIT = 4
_BATCH = 500


@dataclass(slots=True)
class Leaks:
    """What was found by asking the real memory."""

    asked: int = 0
    recalled: int = 0
    from_the_future: list[str] = field(default_factory=list)
    """Incidents recalled that were not over when the query was asked, or that were counted or seen later."""
    itself: list[str] = field(default_factory=list)
    """Incidents that recalled themselves."""
    alike: int = 0
    """Queries whose first result is the one that the contest measures, silence included."""


async def find_leaks(corpus: Corpus, entries: Sequence[Entry], embedder: Embedder, folder: Path) -> Leaks:
    """Asks a memory that holds all incidents, past and future, every one of these queries."""
    database, index = Database(url_of(folder / "recall.db")), ChromaIndex(folder / "memory")
    try:
        await upgrade(database)
        numbers: list[int] = []
        for start in range(0, len(corpus.incidents), _BATCH):
            rows = [_row(one) for one in corpus.incidents[start : start + _BATCH]]
            async with database.write() as session:
                session.add_all(rows)
                await session.flush()
                numbers += [row.id for row in rows]
        memory = IncidentMemory(database, embedder, index, deadline_s=_DEADLINE_S)
        await memory.sync()
        leaks = Leaks()
        for entry in entries:
            query = RecallQuery(
                text=entry.query.text,
                target=entry.query.target,
                exclude_incident_id=None if entry.query.own is None else numbers[entry.query.own],
            )
            async with database.read() as session:
                recall = await memory.recall(session, [query], as_of=entry.query.as_of, limit=_LIMIT)
            _judge(leaks, corpus, entry, recall)
        return leaks
    finally:
        await index.close()
        await database.close()


def _judge(leaks: Leaks, corpus: Corpus, entry: Entry, recall: Recall) -> None:
    leaks.asked += 1
    leaks.recalled += len(recall.recollections)
    as_of = entry.query.as_of
    own = None if entry.query.own is None else corpus.incidents[entry.query.own].public_id
    for one in recall.recollections:
        if one.resolved_at >= as_of or one.last_seen >= as_of:
            leaks.from_the_future.append(one.public_id)
        if one.public_id == own:
            leaks.itself.append(one.public_id)
    first = next((one.public_id for one in recall.recollections), None)
    expected = next((corpus.incidents[place].public_id for place in entry.shown), None)
    leaks.alike += first == expected


def _row(one: PastIncident) -> Incident:
    return Incident(
        public_id=one.public_id,
        title=one.facts.title,
        symptoms=one.facts.symptoms,
        target=one.facts.target,
        severity="high",
        status="resolved",
        started_at=one.started_at,
        resolved_at=one.resolved_at,
        root_cause=one.facts.root_cause,
        resolution=one.facts.resolution,
    )
