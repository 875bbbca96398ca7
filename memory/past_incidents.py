"""From hits of the index to recollections: the database decides what may be recalled and what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Executable, func, select

from memory.entries import part
from memory.index import Hit
from memory.lexical import lexical_scores
from memory.ranking import Candidate, Ranked, merge, rank
from memory.recall import Miss, RecallQuery, Recollection
from memory.recipe import (
    MAX_CAUSE,
    MAX_RESOLUTION,
    MAX_SYMPTOMS,
    MAX_TITLE,
    IncidentFacts,
    incident_text,
)
from models import Incident, MemoryEntry
from models.database import ReadSession

Chosen = tuple[RecallQuery, Ranked]

_KEYS_PER_READ = 5_000


@dataclass(frozen=True, slots=True)
class _Newest:
    """One of the newest incidents that read the same."""

    incident_id: int
    target: str | None
    started_at: datetime
    resolved_at: datetime


@dataclass(frozen=True, slots=True)
class PastText:
    """What incidents that read the same and were over at the moment asked about have in common."""

    newest: tuple[_Newest, ...]
    """At most two, the newest first: a query may exclude one."""
    recurrences: int
    gist: str
    text: str


class Past:
    """The incidents that were over before a moment, as far as an index has hit upon them."""

    def __init__(self, texts: Mapping[str, PastText], keys: Mapping[int, str]) -> None:
        """`texts` are by key; `keys` has the key of every incident that a query excludes."""
        self._texts = texts
        self._keys = keys

    @classmethod
    async def load(
        cls, session: ReadSession, keys: Sequence[str], excluded: Sequence[int], *, as_of: datetime
    ) -> Past:
        """What the database says about the texts, whatever the index believes."""
        texts: dict[str, PastText] = {}
        for start in range(0, len(keys), _KEYS_PER_READ):
            for row in await session.execute(_newest(keys[start : start + _KEYS_PER_READ], as_of)):
                known = texts.get(row.content_hash)
                texts[row.content_hash] = _text(row) if known is None else _with_second(known, row)
        of_excluded = await session.execute(
            select(MemoryEntry.incident_id, MemoryEntry.content_hash)
            .join(Incident)
            .where(MemoryEntry.incident_id.in_(excluded), Incident.resolved_at < as_of)
        )
        return cls(texts, {row.incident_id: row.content_hash for row in of_excluded})

    def candidates(self, query: RecallQuery, hits: Sequence[Hit]) -> list[Candidate]:
        """The hits that are past incidents other than the one asked about."""
        known = [
            (hit, text, newest)
            for hit in hits
            if (text := self._texts.get(hit.key))
            for newest in [one for one in text.newest if one.incident_id != query.exclude_incident_id][:1]
        ]
        lexical = lexical_scores(query.text, [text.text for _, text, _ in known])
        excluded = self._keys.get(query.exclude_incident_id or 0)
        return [
            Candidate(
                key=hit.key,
                incident_id=newest.incident_id,
                similarity=hit.similarity,
                lexical=score,
                target=newest.target,
                same_target=query.target is not None and query.target == newest.target,
                recurrences=text.recurrences - (hit.key == excluded),
                started_at=newest.started_at,
                resolved_at=newest.resolved_at,
                gist=text.gist,
            )
            for (hit, text, newest), score in zip(known, lexical, strict=True)
        ]


async def rank_hits(
    session: ReadSession,
    queries: Sequence[RecallQuery],
    hits: Sequence[Sequence[Hit]],
    *,
    as_of: datetime,
    background: float,
    limit: int,
) -> tuple[list[Chosen], tuple[Miss, ...]]:
    """What is worth recalling, best first, and the queries that nothing resembles."""
    keys = sorted({hit.key for found in hits for hit in found})
    excluded = [query.exclude_incident_id for query in queries if query.exclude_incident_id is not None]
    past = await Past.load(session, keys, excluded, as_of=as_of)

    def decide() -> tuple[list[Chosen], tuple[Miss, ...]]:
        candidates = [past.candidates(query, found) for query, found in zip(queries, hits, strict=True)]
        answers = [rank(found, as_of=as_of, background=background, limit=limit) for found in candidates]
        misses = tuple(
            Miss(query, max((candidate.similarity for candidate in found), default=None))
            for query, found, answer in zip(queries, candidates, answers, strict=True)
            if not answer
        )
        return [(queries[number], found) for number, found in merge(answers, limit=limit)], misses

    return await asyncio.to_thread(decide)


async def load_recollections(session: ReadSession, chosen: Sequence[Chosen]) -> tuple[Recollection, ...]:
    """The chosen incidents with all that the database says about them."""
    ids = [found.candidate.incident_id for _, found in chosen]
    rows = await session.scalars(select(Incident).where(Incident.id.in_(ids)))
    incidents = {incident.id: incident for incident in rows}
    return tuple(
        _recollection(query, found, incidents[found.candidate.incident_id]) for query, found in chosen
    )


def _newest(keys: Sequence[str], as_of: datetime) -> Executable:
    """The two newest incidents of each text that were resolved before the moment, and how many there are."""
    same_text = MemoryEntry.content_hash
    newest_first = (Incident.started_at.desc(), Incident.id.desc())
    numbered = (
        select(
            Incident.id,
            MemoryEntry.content_hash,
            func.count().over(partition_by=same_text).label("recurrences"),
            func.row_number().over(partition_by=same_text, order_by=newest_first).label("place"),
        )
        .join(MemoryEntry)
        .where(MemoryEntry.content_hash.in_(keys), Incident.resolved_at < as_of)
        .subquery()
    )
    return (
        select(
            numbered.c.content_hash,
            numbered.c.recurrences,
            Incident.id,
            Incident.target,
            Incident.started_at,
            Incident.resolved_at,
            part(Incident.title, MAX_TITLE).label("title"),
            part(Incident.symptoms, MAX_SYMPTOMS).label("symptoms"),
            part(Incident.root_cause, MAX_CAUSE).label("root_cause"),
            part(Incident.resolution, MAX_RESOLUTION).label("resolution"),
        )
        .join(numbered, numbered.c.id == Incident.id)
        .where(numbered.c.place <= 2)  # noqa: PLR2004  see PastText.newest
        .order_by(numbered.c.content_hash, numbered.c.place)
    )


def _text(row: Any) -> PastText:
    text = incident_text(
        IncidentFacts(
            title=row.title,
            symptoms=row.symptoms,
            target=row.target,
            root_cause=row.root_cause,
            resolution=row.resolution,
        )
    )
    gist = f"{row.title}\n{row.root_cause or ''}"
    return PastText(newest=(_incident(row),), recurrences=row.recurrences, gist=gist, text=text)


def _with_second(known: PastText, row: Any) -> PastText:
    return replace(known, newest=(*known.newest, _incident(row)))


def _incident(row: Any) -> _Newest:
    return _Newest(row.id, row.target, row.started_at, row.resolved_at)


def _recollection(query: RecallQuery, found: Ranked, incident: Incident) -> Recollection:
    return Recollection(
        query=query,
        incident_id=incident.id,
        public_id=incident.public_id,
        title=incident.title,
        symptoms=incident.symptoms,
        target=incident.target,
        severity=incident.severity,
        started_at=incident.started_at,
        resolved_at=found.candidate.resolved_at,
        root_cause=incident.root_cause,
        resolution=incident.resolution,
        similarity=found.candidate.similarity,
        recurrences=found.recurrences,
        last_seen=found.last_seen,
    )
