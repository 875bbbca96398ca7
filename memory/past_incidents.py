"""From hits of the index to recollections: the database decides what may be recalled and what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

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
from models import Incident
from models.database import ReadSession

Chosen = tuple[RecallQuery, Ranked]


@dataclass(frozen=True, slots=True)
class PastIncident:
    """An incident that was over at the moment asked about, as far as ranking looks at it."""

    id: int
    target: str | None
    started_at: datetime
    resolved_at: datetime
    gist: str
    text: str


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
    past = await _load_past(session, {hit.incident_id for found in hits for hit in found}, as_of)

    def decide() -> tuple[list[Chosen], tuple[Miss, ...]]:
        candidates = [_candidates(query, found, past) for query, found in zip(queries, hits, strict=True)]
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


async def _load_past(session: ReadSession, ids: set[int], as_of: datetime) -> dict[int, PastIncident]:
    """Those of the incidents that were resolved before `as_of`, whatever the index believes."""
    rows = await session.execute(
        select(
            Incident.id,
            Incident.target,
            Incident.started_at,
            Incident.resolved_at,
            part(Incident.title, MAX_TITLE).label("title"),
            part(Incident.symptoms, MAX_SYMPTOMS).label("symptoms"),
            part(Incident.root_cause, MAX_CAUSE).label("root_cause"),
            part(Incident.resolution, MAX_RESOLUTION).label("resolution"),
        ).where(Incident.id.in_(sorted(ids)), Incident.resolved_at < as_of)
    )
    return {
        row.id: PastIncident(
            id=row.id,
            target=row.target,
            started_at=row.started_at,
            resolved_at=row.resolved_at,
            gist=f"{row.title}\n{row.root_cause or ''}",
            text=incident_text(
                IncidentFacts(
                    title=row.title,
                    symptoms=row.symptoms,
                    target=row.target,
                    root_cause=row.root_cause,
                    resolution=row.resolution,
                )
            ),
        )
        for row in rows
    }


def _candidates(query: RecallQuery, hits: Sequence[Hit], past: Mapping[int, PastIncident]) -> list[Candidate]:
    known = [
        (hit, past[hit.incident_id])
        for hit in hits
        if hit.incident_id in past and hit.incident_id != query.exclude_incident_id
    ]
    lexical = lexical_scores(query.text, [incident.text for _, incident in known])
    return [
        Candidate(
            incident_id=incident.id,
            similarity=hit.similarity,
            lexical=score,
            target=incident.target,
            same_target=query.target is not None and query.target == incident.target,
            started_at=incident.started_at,
            resolved_at=incident.resolved_at,
            gist=incident.gist,
        )
        for (hit, incident), score in zip(known, lexical, strict=True)
    ]


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
        recurrences=len(found.members),
        last_seen=found.last_seen,
    )
