"""From hits of the index to recollections: the database decides what may be recalled and what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Executable, and_, func, or_, select
from sqlalchemy.orm import aliased

from memory.entries.diagnosis import Told, known_postmortem, select_told, told, told_columns
from memory.entries.texts import memorable
from memory.index.contract import Hit
from memory.recall.ranking import Candidate, Ranked, merge, rank
from memory.recall.results import Miss, RecallQuery, Recollection
from memory.text.error_template import error_templates, shared_templates
from memory.text.lexical import wording, wording_scores
from models import EntrySource, Incident, MemoryEntry, Postmortem
from models.database import ReadSession

Chosen = tuple[RecallQuery, Ranked]

_KEYS_PER_READ = 5_000


@dataclass(frozen=True, slots=True)
class _Newest:
    """One of the newest incidents that a text tells about."""

    incident_id: int
    title: str
    target: str | None
    started_at: datetime
    resolved_at: datetime
    told: Told


@dataclass(frozen=True, slots=True)
class PastText:
    """What incidents have in common that were over, with this text known, at the moment asked about."""

    newest: tuple[_Newest, ...]
    """At most two, the newest first: a query may exclude one."""
    recurrences: int
    text: str
    record_key: str
    """The text of the newest one's record: this text itself, unless it is a postmortem's."""


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
            select(MemoryEntry.incident_id, MemoryEntry.content_hash).where(
                MemoryEntry.incident_id.in_(excluded),
                MemoryEntry.content_hash.in_(keys),
                MemoryEntry.source == EntrySource.INCIDENT,
                MemoryEntry.known_at < as_of,
            )
        )
        return cls(texts, {row.incident_id: row.content_hash for row in of_excluded})

    def candidates(self, query: RecallQuery, hits: Sequence[Hit]) -> list[Candidate]:
        """The hits that are past incidents other than the one asked about, each incident once."""
        known = [
            (hit, text, newest)
            for hit in hits
            if (text := self._texts.get(hit.key))
            for newest in [one for one in text.newest if one.incident_id != query.exclude_incident_id][:1]
        ]
        lexical = wording_scores(wording(query.text, query.target), [text.text for _, text, _ in known])
        errors = error_templates(query.text)
        excluded = self._keys.get(query.exclude_incident_id or 0)
        found: dict[str, Candidate] = {}
        for (hit, text, newest), score in zip(known, lexical, strict=True):
            candidate = Candidate(
                key=hit.key,
                incident_id=newest.incident_id,
                similarity=hit.similarity,
                lexical=score,
                target=newest.target,
                same_target=query.target is not None and query.target == newest.target,
                same_errors=shared_templates(errors, error_templates(text.text)),
                recurrences=text.recurrences - (hit.key == excluded),
                started_at=newest.started_at,
                resolved_at=newest.resolved_at,
                gist=f"{newest.title}\n{newest.told.root_cause or ''}",
                is_draft=newest.told.is_draft,
            )
            other = found.get(text.record_key)
            found[text.record_key] = candidate if other is None else _both(other, candidate, text.record_key)
        return list(found.values())


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
        answers = [
            rank(
                found,
                wanted=wording(query.text, query.target),
                as_of=as_of,
                background=background,
                limit=limit,
            )
            for query, found in zip(queries, candidates, strict=True)
        ]
        misses = tuple(
            Miss(query, max((candidate.similarity for candidate in found), default=None))
            for query, found, answer in zip(queries, candidates, answers, strict=True)
            if not answer
        )
        return [(queries[number], found) for number, found in merge(answers, limit=limit)], misses

    return await asyncio.to_thread(decide)


async def load_recollections(
    session: ReadSession, chosen: Sequence[Chosen], *, as_of: datetime
) -> tuple[Recollection, ...]:
    """The chosen incidents with all that the database says about them, as far as it was known by then."""
    ids = [found.candidate.incident_id for _, found in chosen]
    incidents = {
        incident.id: incident
        for incident in await session.scalars(select(Incident).where(Incident.id.in_(ids)))
    }
    tellings = {
        row.id: told(row) for row in await session.execute(select_told(as_of).where(Incident.id.in_(ids)))
    }
    return tuple(
        _recollection(
            query, found, incidents[found.candidate.incident_id], tellings[found.candidate.incident_id]
        )
        for query, found in chosen
    )


def _newest(keys: Sequence[str], as_of: datetime) -> Executable:
    """The two newest incidents of each text that was known before the moment, and how many there are."""
    same_text = MemoryEntry.content_hash
    newest_first = (Incident.started_at.desc(), Incident.id.desc())
    numbered = (
        select(
            Incident.id,
            MemoryEntry.id.label("entry_id"),
            MemoryEntry.content_hash,
            func.count().over(partition_by=same_text).label("recurrences"),
            func.row_number().over(partition_by=same_text, order_by=newest_first).label("place"),
        )
        .join(MemoryEntry)
        .outerjoin(Postmortem, known_postmortem(as_of))
        .where(
            MemoryEntry.content_hash.in_(keys),
            MemoryEntry.known_at < as_of,
            Incident.resolved_at < as_of,
            memorable(),
            or_(MemoryEntry.source == EntrySource.INCIDENT, Postmortem.id.is_not(None)),
        )
        .subquery()
    )
    record = aliased(MemoryEntry)
    return (
        select(
            numbered.c.content_hash,
            numbered.c.recurrences,
            Incident.id,
            Incident.title,
            Incident.target,
            Incident.started_at,
            Incident.resolved_at,
            MemoryEntry.text,
            func.coalesce(record.content_hash, MemoryEntry.content_hash).label("record_key"),
            *told_columns(as_of),
        )
        .join(numbered, numbered.c.id == Incident.id)
        .join(MemoryEntry, MemoryEntry.id == numbered.c.entry_id)
        .outerjoin(
            record,
            and_(
                record.incident_id == Incident.id,
                record.source == EntrySource.INCIDENT,
                record.model_id == MemoryEntry.model_id,
                record.weights_hash == MemoryEntry.weights_hash,
                record.recipe == MemoryEntry.recipe,
            ),
        )
        .outerjoin(Postmortem, known_postmortem(as_of))
        .where(numbered.c.place <= 2)  # noqa: PLR2004  see PastText.newest
        .order_by(numbered.c.content_hash, numbered.c.place)
    )


def _text(row: Any) -> PastText:
    return PastText(
        newest=(_incident(row),), recurrences=row.recurrences, text=row.text, record_key=row.record_key
    )


def _with_second(known: PastText, row: Any) -> PastText:
    return replace(known, newest=(*known.newest, _incident(row)))


def _incident(row: Any) -> _Newest:
    return _Newest(row.id, row.title, row.target, row.started_at, row.resolved_at, told(row))


def _both(one: Candidate, other: Candidate, record_key: str) -> Candidate:
    """An incident that was found by its record and by its postmortem: as close as the closer of the two."""
    record = one if one.key == record_key else other
    return replace(
        record,
        similarity=max(one.similarity, other.similarity),
        lexical=max(one.lexical, other.lexical),
        same_errors=max(one.same_errors, other.same_errors),
        recurrences=max(one.recurrences, other.recurrences),
    )


def _recollection(query: RecallQuery, found: Ranked, incident: Incident, said: Told) -> Recollection:
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
        root_cause=said.root_cause,
        resolution=said.resolution,
        provenance=said.provenance,
        status=said.status,
        similarity=found.candidate.similarity,
        confidence=found.confidence,
        recurrences=found.recurrences,
        last_seen=found.last_seen,
    )
