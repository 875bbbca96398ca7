"""Turns neighbors from the index into recalled incidents; the database decides what may be recalled."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Executable, and_, bindparam, func, or_, select
from sqlalchemy.orm import aliased

from memory.entries.diagnosis import diagnosis_columns, diagnosis_of, known_postmortem
from memory.entries.texts import is_recallable
from memory.index.contract import Neighbor
from memory.recall.ranking import Candidate, Ranked, merge, rank
from memory.recall.results import NoMatch, RecalledIncident, RecallQuery
from memory.text.error_template import error_templates, share_quoted
from memory.text.lexical import wording, wording_scores
from models import EntrySource, Incident, MemoryEntry, Postmortem
from models.database import ReadSession

Chosen = tuple[RecallQuery, Ranked]

_KEYS_PER_READ = 5_000


_AS_OF = bindparam("as_of", type_=MemoryEntry.known_at.type)
_KEYS: BindParameter[str] = bindparam("keys", expanding=True)
_IDS: BindParameter[int] = bindparam("ids", expanding=True)


def _select_newest() -> Executable:
    """Select the two newest incidents of each text known before the moment, and how many there are."""
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
        .outerjoin(Postmortem, known_postmortem(_AS_OF))
        .where(
            MemoryEntry.content_hash.in_(_KEYS),
            MemoryEntry.known_at < _AS_OF,
            Incident.resolved_at < _AS_OF,
            is_recallable(),
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
            *diagnosis_columns(_AS_OF),
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
        .outerjoin(Postmortem, known_postmortem(_AS_OF))
        .where(numbered.c.place <= 2)  # noqa: PLR2004  see PastText.newest
        .order_by(numbered.c.content_hash, numbered.c.place)
    )


# Building a statement takes several times as long as running it, so these are built once.
_NEWEST = _select_newest()
_OF_EXCLUDED = select(MemoryEntry.incident_id, MemoryEntry.content_hash).where(
    MemoryEntry.incident_id.in_(_IDS),
    MemoryEntry.content_hash.in_(_KEYS),
    MemoryEntry.source == EntrySource.INCIDENT,
    MemoryEntry.known_at < _AS_OF,
)
_CHOSEN = (
    select(
        Incident.id,
        Incident.public_id,
        Incident.title,
        Incident.symptoms,
        Incident.target,
        Incident.severity,
        Incident.started_at,
        *diagnosis_columns(_AS_OF),
    )
    .outerjoin(Postmortem, known_postmortem(_AS_OF))
    .where(Incident.id.in_(_IDS))
)


@dataclass(frozen=True, slots=True)
class PastText:
    """The incidents with one text that were resolved, with the text known, at the moment asked about."""

    newest: tuple[Any, ...]
    """At most two rows of `_newest`, newest first: a query may exclude one."""
    recurrences: int
    text: str
    record_key: str
    """Key of the newest incident's record: of this text itself, unless it is a postmortem's."""


class Past:
    """The incidents resolved before a moment, among those that an index has found."""

    def __init__(self, texts: Mapping[str, PastText], keys: Mapping[int, str]) -> None:
        """`texts` are by key; `keys` has the record's key of every incident that a query excludes."""
        self._texts = texts
        self._keys = keys

    @classmethod
    async def load(
        cls, session: ReadSession, keys: Sequence[str], excluded: Sequence[int], *, as_of: datetime
    ) -> Past:
        """Load what the database says about the texts, regardless of the index."""
        texts: dict[str, PastText] = {}
        for start in range(0, len(keys), _KEYS_PER_READ):
            read = {"keys": keys[start : start + _KEYS_PER_READ], "as_of": as_of}
            for row in await session.execute(_NEWEST, read):
                known = texts.get(row.content_hash)
                newest = (*(known.newest if known else ()), row)
                texts[row.content_hash] = PastText(newest, row.recurrences, row.text, row.record_key)
        if not excluded:
            return cls(texts, {})
        of_excluded = await session.execute(_OF_EXCLUDED, {"ids": excluded, "keys": keys, "as_of": as_of})
        return cls(texts, {row.incident_id: row.content_hash for row in of_excluded})

    def candidates(self, query: RecallQuery, neighbors: Sequence[Neighbor]) -> list[Candidate]:
        """Return the neighbors that are past incidents other than the excluded one, each incident once."""
        known = [
            (neighbor, text, newest)
            for neighbor in neighbors
            if (text := self._texts.get(neighbor.key))
            for newest in [one for one in text.newest if one.id != query.exclude_incident_id][:1]
        ]
        lexical = wording_scores(wording(query.text, query.target), [text.text for _, text, _ in known])
        errors = error_templates(query.text)
        excluded = self._keys.get(query.exclude_incident_id or 0)
        found: dict[str, Candidate] = {}
        for (neighbor, text, newest), score in zip(known, lexical, strict=True):
            diagnosis = diagnosis_of(newest)
            candidate = Candidate(
                key=neighbor.key,
                incident_id=newest.id,
                similarity=neighbor.similarity,
                lexical=score,
                target=newest.target,
                same_target=query.target is not None and query.target == newest.target,
                same_errors=share_quoted(errors, text.text),
                recurrences=text.recurrences - (neighbor.key == excluded),
                started_at=newest.started_at,
                resolved_at=newest.resolved_at,
                gist=f"{newest.title}\n{diagnosis.root_cause or ''}",
                is_draft=diagnosis.is_draft,
            )
            other = found.get(text.record_key)
            found[text.record_key] = (
                candidate if other is None else _merged(other, candidate, text.record_key)
            )
        return list(found.values())


async def rank_neighbors(
    session: ReadSession,
    queries: Sequence[RecallQuery],
    neighbors: Sequence[Sequence[Neighbor]],
    *,
    as_of: datetime,
    background: float,
    limit: int,
) -> tuple[list[Chosen], tuple[NoMatch, ...]]:
    """Return the incidents worth recalling, best first, and the queries without any."""
    keys = sorted({neighbor.key for found in neighbors for neighbor in found})
    excluded = [query.exclude_incident_id for query in queries if query.exclude_incident_id is not None]
    past = await Past.load(session, keys, excluded, as_of=as_of)

    def decide() -> tuple[list[Chosen], tuple[NoMatch, ...]]:
        answers, misses = [], []
        for query, found in zip(queries, neighbors, strict=True):
            candidates = past.candidates(query, found)
            wanted = wording(query.text, query.target)
            answer = rank(candidates, wanted=wanted, as_of=as_of, background=background, limit=limit)
            answers.append(answer)
            if not answer:
                misses.append(NoMatch(query, max((one.similarity for one in candidates), default=None)))
        return [(queries[number], found) for number, found in merge(answers, limit=limit)], tuple(misses)

    return await asyncio.to_thread(decide)


async def load_recalled(
    session: ReadSession, chosen: Sequence[Chosen], *, as_of: datetime
) -> tuple[RecalledIncident, ...]:
    """Load the chosen incidents, with what was known about them before `as_of`."""
    if not chosen:
        return ()
    ids = [found.candidate.incident_id for _, found in chosen]
    by_id = {row.id: row for row in await session.execute(_CHOSEN, {"ids": ids, "as_of": as_of})}
    return tuple(_recalled(query, found, by_id[found.candidate.incident_id]) for query, found in chosen)


def _merged(one: Candidate, other: Candidate, record_key: str) -> Candidate:
    """Merge the candidates of one incident, found by its record and by its postmortem."""
    record = one if one.key == record_key else other
    return replace(
        record,
        similarity=max(one.similarity, other.similarity),
        lexical=max(one.lexical, other.lexical),
        same_errors=max(one.same_errors, other.same_errors),
        recurrences=max(one.recurrences, other.recurrences),
    )


def _recalled(query: RecallQuery, found: Ranked, row: Any) -> RecalledIncident:
    diagnosis = diagnosis_of(row)
    return RecalledIncident(
        query=query,
        incident_id=row.id,
        public_id=row.public_id,
        title=row.title,
        symptoms=row.symptoms,
        target=row.target,
        severity=row.severity,
        started_at=row.started_at,
        resolved_at=found.candidate.resolved_at,
        root_cause=diagnosis.root_cause,
        resolution=diagnosis.resolution,
        provenance=diagnosis.provenance,
        status=diagnosis.status,
        similarity=found.candidate.similarity,
        confidence=found.confidence,
        recurrences=found.recurrences,
        last_seen=found.last_seen,
    )
