"""Which past incidents are worth recalling, in what order, and when none is: pure decisions on scores."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

LEXICAL_WEIGHT = 0.5
"""Of the lexical score beside the cosine. On 75 labelled queries over 1,076 bug reports MRR rose from 0.70
to 0.74 with MiniLM and from 0.52 to 0.60 with hashing; any weight from 0.3 to 1 did nearly as well."""

SAME_TARGET_BONUS = 0.05
"""Decides between near equals; too small to lift an incident that is not alike."""

RECURRENCE_HALF_LIFE = timedelta(days=20)
"""In published operations data 94 % of recurrences came within 20 days."""

DECAY_FLOOR = 0.85
"""What age leaves of a score at least: a match beats any fresh one less than 85 % as good, however old."""

MARGIN = 0.05
"""How far above the embedder's background cosine and weighted lexical score together must come. On 57
labelled questions over 18 incidents this kept all 31 right answers with MiniLM and 24 of 27 with hashing,
and was silent on 15 and 19 of 25 questions about something else. No cut-off is sharp: show the similarity."""

SAME_AGAIN = 0.6
"""Share of common words from which two titles with their causes are the same thing again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A past incident that came out close to a query, standing for all that read the same."""

    key: str
    """Of its text; two candidates of one query never share it."""
    incident_id: int
    similarity: float
    """Cosine, from -1 to 1."""
    lexical: float
    """Share of the query's wording, from 0 to 1."""
    target: str | None
    same_target: bool
    recurrences: int
    """Incidents that read the same, itself included."""
    started_at: datetime
    """When the newest of them started, which is the one that stands for them."""
    resolved_at: datetime
    gist: str
    """Title and root cause: what makes two incidents the same thing again."""
    is_draft: bool = False
    """Whether nobody has vouched yet for what it says; it comes after all that somebody has."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """The best candidate of one cluster of recurrences."""

    candidate: Candidate
    score: float
    keys: frozenset[str]
    """Texts of the cluster, its best one's included."""
    recurrences: int
    """Incidents in the cluster, itself included."""
    last_seen: datetime
    """When the newest of them started."""


def relevance(candidate: Candidate) -> float:
    """How much a candidate resembles the query, whatever its age."""
    bonus = SAME_TARGET_BONUS if candidate.same_target else 0.0
    return candidate.similarity + LEXICAL_WEIGHT * candidate.lexical + bonus


def decay(age: timedelta) -> float:
    """The factor for age, from 1 for now down to DECAY_FLOOR."""
    fresh = math.exp2(-max(age, timedelta(0)) / RECURRENCE_HALF_LIFE)
    return DECAY_FLOOR + (1 - DECAY_FLOOR) * fresh


def rank(candidates: Sequence[Candidate], *, as_of: datetime, background: float, limit: int) -> list[Ranked]:
    """The relevant candidates, best first, one per cluster of recurrences; empty when nothing is similar.

    `background` is the cosine that the embedder gives to texts on different subjects.
    """
    scored = [
        (relevance(candidate) * decay(as_of - candidate.resolved_at), candidate)
        for candidate in candidates
        if relevance(candidate) >= background + MARGIN
    ]
    scored.sort(key=lambda pair: (pair[1].is_draft, -pair[0], pair[1].key))
    clusters: list[list[tuple[float, Candidate]]] = []
    for score, candidate in scored:
        cluster = next((known for known in clusters if _same_again(known[0][1], candidate)), None)
        if cluster is None:
            clusters.append([(score, candidate)])
        else:
            cluster.append((score, candidate))
    return [_ranked(cluster) for cluster in clusters[:limit]]


def merge(answers: Sequence[Sequence[Ranked]], *, limit: int) -> list[tuple[int, Ranked]]:
    """One list of the best, with the number of the query that each answers.

    Every query's best comes before any query's second, and drafts after all others. What answers several
    queries is listed once, for the query that ranks it highest.
    """
    offered = sorted(
        (found.candidate.is_draft, place, -found.score, query)
        for query, answer in enumerate(answers)
        for place, found in enumerate(answer)
    )
    chosen: list[tuple[int, Ranked]] = []
    for _, place, _, query in offered:
        found = answers[query][place]
        if not any(found.keys & other.keys for _, other in chosen):
            chosen.append((query, found))
    return chosen[:limit]


def _ranked(cluster: Sequence[tuple[float, Candidate]]) -> Ranked:
    score, best = cluster[0]
    return Ranked(
        candidate=best,
        score=score,
        keys=frozenset(candidate.key for _, candidate in cluster),
        recurrences=sum(candidate.recurrences for _, candidate in cluster),
        last_seen=max(candidate.started_at for _, candidate in cluster),
    )


def _same_again(one: Candidate, other: Candidate) -> bool:
    if one.target != other.target:
        return False
    ours, theirs = _gist_words(one.gist), _gist_words(other.gist)
    if not ours or not theirs:
        return one.gist == other.gist
    return len(ours & theirs) >= SAME_AGAIN * len(ours | theirs)


_WORD_WITHOUT_DIGITS = re.compile(r"\b[^\W\d_]+\b")


def _gist_words(gist: str) -> frozenset[str]:
    """Words without those that hold digits: times, counts and ids differ between recurrences."""
    return frozenset(_WORD_WITHOUT_DIGITS.findall(gist.casefold()))
