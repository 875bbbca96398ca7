"""Ranks past incidents and decides which are worth recalling: pure decisions on scores."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice
from statistics import median

from memory.recall.abstention import MIN_CONFIDENCE, Evidence, confidence, leads_clearly
from memory.text.lexical import Wording

LEXICAL_WEIGHT = 2.0
"""Of the lexical share relative to the cosine. Chosen on generated incidents and labelled reports that are
not part of what docs/evaluation.md reports; anything from 1.5 to 2.5 did nearly as well."""

SAME_TARGET_BONUS = 0.01
SAME_ERRORS_BONUS = 0.02
"""Tie-breakers between near equals; too small to lift a dissimilar incident. Larger ones lost recall: the
texts contain target and errors already, and a target has many kinds of incidents."""

RECURRENCE_HALF_LIFE = timedelta(days=20)
"""In published operations data 94 % of recurrences came within 20 days."""

DECAY_FLOOR = 0.95
"""Lower bound of the age factor: a match of any age beats a fresh one less than 95 % as good. A floor of 0.85
put fresh failures of another kind before the right one."""

_MIN_CLUSTERS = 20
"""Clusters that the median is taken over at least; missing ones count as unrelated."""

SAME_GIST = 0.6
"""Share of common words from which two gists describe recurrences of the same incident."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A past incident close to a query, representing all with the same text."""

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
    """Incidents with the same text, itself included."""
    started_at: datetime
    """Start of the newest of them, which represents them."""
    resolved_at: datetime
    gist: str
    """Title and root cause, by which recurrences are recognized."""
    same_errors: float = 0.0
    """Share of the errors quoted by the query, from 0 to 1."""
    is_draft: bool = False
    """True until a person has approved its diagnosis; ranks after everything approved."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """The best candidate of one cluster of recurrences."""

    candidate: Candidate
    score: float
    evidence: Evidence
    lead: float
    """Cosine above that of the closest other cluster, or above the embedder's background."""
    members: tuple[Candidate, ...]
    """All candidates of the cluster, itself included."""

    @property
    def keys(self) -> frozenset[str]:
        """Keys of all texts of the cluster."""
        return frozenset(member.key for member in self.members)

    @property
    def recurrences(self) -> int:
        """Incidents in the cluster, itself included."""
        return sum(member.recurrences for member in self.members)

    @property
    def last_seen(self) -> datetime:
        """Start of the newest of them."""
        return max(member.started_at for member in self.members)

    @property
    def confidence(self) -> float:
        """Probability that it is an answer, from 0 to 1; at least MIN_CONFIDENCE if it leads clearly."""
        least = MIN_CONFIDENCE if leads_clearly(self.evidence, self.lead) else 0.0
        return max(confidence(self.evidence), least)


def relevance(candidate: Candidate) -> float:
    """Return how much a candidate resembles the query, regardless of age."""
    bonus = SAME_TARGET_BONUS * candidate.same_target + SAME_ERRORS_BONUS * candidate.same_errors
    return candidate.similarity + LEXICAL_WEIGHT * candidate.lexical + bonus


def decay(age: timedelta) -> float:
    """Return the factor for an age, from 1 for now down to DECAY_FLOOR."""
    fresh = math.exp2(-max(age, timedelta(0)) / RECURRENCE_HALF_LIFE)
    return DECAY_FLOOR + (1 - DECAY_FLOOR) * fresh


def rank(
    candidates: Sequence[Candidate], *, wanted: Wording, as_of: datetime, background: float, limit: int
) -> list[Ranked]:
    """Return the answers, best first, one per cluster of recurrences; empty if nothing is similar.

    `wanted` is the wording of the query, `background` the embedder's cosine for unrelated texts.
    """
    found = clusters(candidates, wanted=wanted, as_of=as_of, background=background)
    return list(islice((one for one in found if one.confidence >= MIN_CONFIDENCE), limit))


def clusters(
    candidates: Sequence[Candidate], *, wanted: Wording, as_of: datetime, background: float
) -> Iterator[Ranked]:
    """Yield all clusters of recurrences, best first, whether they are answers or not."""
    grouped: list[list[tuple[float, Candidate]]] = []
    of_target: defaultdict[str | None, list[tuple[frozenset[str], list[tuple[float, Candidate]]]]]
    of_target = defaultdict(list)
    for score, candidate in ordered(candidates, as_of=as_of):
        gist, here = _gist_words(candidate.gist), of_target[candidate.target]
        cluster = next((members for known, members in here if _is_same(known, gist)), None)
        if cluster is None:
            grouped.append([(score, candidate)])
            here.append((gist, grouped[-1]))
        else:
            cluster.append((score, candidate))
    bests = [relevance(cluster[0][1]) for cluster in grouped]
    usual = median(bests + [background] * max(1, _MIN_CLUSTERS - len(bests)))
    leads = _leads([max(one.similarity for _, one in cluster) for cluster in grouped], background)
    # Of a hundred clusters the first few are looked at.
    for cluster, lead in zip(grouped, leads, strict=True):
        yield _ranked(cluster, _evidence(cluster[0][1], wanted, background, usual), lead)


def ordered(candidates: Sequence[Candidate], *, as_of: datetime) -> list[tuple[float, Candidate]]:
    """Return candidates with their scores, best first, drafts after all others."""
    scored = [
        (relevance(candidate) * decay(as_of - candidate.resolved_at), candidate) for candidate in candidates
    ]
    return sorted(scored, key=lambda pair: (pair[1].is_draft, -pair[0], pair[1].key))


def merge(answers: Sequence[Sequence[Ranked]], *, limit: int) -> list[tuple[int, Ranked]]:
    """Return one list of the best answers, each with the number of its query.

    Every query's best comes before any query's second, and drafts after all others. An answer to several
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


def _leads(similarities: Sequence[float], background: float) -> list[float]:
    """Return by how much each similarity exceeds the highest of the others, or the background."""
    highest, second = (sorted([*similarities, background, background], reverse=True))[:2]
    return [one - (second if one == highest else highest) for one in similarities]


def _evidence(best: Candidate, wanted: Wording, background: float, usual: float) -> Evidence:
    return Evidence(
        similarity=(best.similarity - background) / (1 - background),
        lexical=best.lexical,
        contrast=relevance(best) - usual,
        log_words=math.log1p(len(wanted.words)),
        names_something=float(bool(wanted.identifiers)),
    )


def _ranked(cluster: Sequence[tuple[float, Candidate]], evidence: Evidence, lead: float) -> Ranked:
    score, best = cluster[0]
    return Ranked(best, score, evidence, lead, tuple(candidate for _, candidate in cluster))


def _is_same(ours: frozenset[str], theirs: frozenset[str]) -> bool:
    shared = len(ours & theirs)
    return shared >= SAME_GIST * (len(ours) + len(theirs) - shared)


_WORD_WITHOUT_DIGITS = re.compile(r"\b[^\W\d_]+\b")


@lru_cache(maxsize=4_096)
def _gist_words(gist: str) -> frozenset[str]:
    """Return the words without digits, or the whole: times, counts and ids differ between recurrences."""
    return frozenset(_WORD_WITHOUT_DIGITS.findall(gist.casefold()) or [gist])
