"""Ranks the facts that compete for a place in the prompt by their utility. Pure.

Utility = importance within the source x topic relevance x (1 + keyword gain), discounted by how many facts of
the same source rank higher.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from context_builder.prompt.fact_lines import FactLine, lines_of
from context_builder.prompt.relevance import keyword_relevance
from context_builder.prompt.tokens import TokenBound
from context_builder.question.request import ContextRequest, Topic
from context_builder.source import SourceResult

OFF_TOPIC_RELEVANCE = 0.35
"""Relevance of a fact that shares no topic with the question."""
MIN_TOPIC_RELEVANCE = 0.6
"""Minimum relevance of a fact that shares a topic; 1 if it is about exactly the topics of the question."""
HALVING_RANK = 8
"""Rank within the source at which a fact's utility is halved."""
KEYWORD_GAIN = 0.5
"""Gain of a fact that contains every word of the question; off topic it stays below a fact on topic."""


class FactCandidate(NamedTuple):
    """A fact that competes for a place in the prompt; a tuple, since every question makes hundreds."""

    ref: str
    source: str
    line: FactLine
    on_topic: bool
    utility: float
    leads: bool
    """True if it comes before all that does not lead: where a cause is asked for, not where a list is."""


def rank_facts(
    request: ContextRequest, results: Sequence[SourceResult], bound: TokenBound
) -> list[FactCandidate]:
    """Return the facts of all sources: those that lead, then the most useful first."""
    lines = [line for result in results for line in lines_of(result, bound)]
    keywords = keyword_relevance(request, [line.folded for line in lines])
    candidates = _candidates(request.topics, lines, keywords)
    return sorted(candidates, key=lambda c: (not c.leads, -c.utility, c.source, c.line.rank))


def _candidates(
    asked: frozenset[Topic], lines: Sequence[FactLine], keywords: Sequence[float]
) -> Iterator[FactCandidate]:
    relevance_of: dict[frozenset[Topic], float] = {}
    for line, keyword in zip(lines, keywords, strict=True):
        relevance = relevance_of.get(line.topics)
        if relevance is None:
            relevance = relevance_of[line.topics] = _topic_relevance(asked, line.topics)
        relevance *= 1 + KEYWORD_GAIN * keyword
        utility = line.importance * relevance / (1 + line.rank / HALVING_RANK)
        on_topic = not asked.isdisjoint(line.topics)
        leads = line.fact.leads and on_topic and Topic.CHANGES in asked
        yield FactCandidate(line.ref, line.source, line, on_topic, utility, leads)


def _topic_relevance(asked: frozenset[Topic], topics: frozenset[Topic]) -> float:
    shared = len(asked & topics)
    if not shared:
        return OFF_TOPIC_RELEVANCE
    coverage, focus = shared / len(asked), shared / len(topics)
    return MIN_TOPIC_RELEVANCE + (1 - MIN_TOPIC_RELEVANCE) * coverage * (1 + focus) / 2


def duplicates_of(candidates: Sequence[FactCandidate], stated: Mapping[str, str]) -> dict[str, str]:
    """Map the reference of each duplicate fact to the reference of the fact that states the same.

    Facts with the same key are duplicates of the fact that includes them, else of the most useful one, or of
    the fact that `stated` names by key.
    """
    holders = {key: c.ref for c in reversed(candidates) for key in c.line.fact.states} | dict(stated)
    duplicates = {}
    for candidate in candidates:
        key = candidate.line.fact.key
        if key:
            holder = holders.setdefault(key, candidate.ref)
            if holder != candidate.ref:
                duplicates[candidate.ref] = holder
    return duplicates
