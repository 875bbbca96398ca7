"""Ranks the facts that compete for a place in the prompt by their utility. Pure.

Utility = importance within the source x topic relevance x (1 + keyword gain), discounted by how many facts of
the same source rank higher.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from context_builder.prompt.relevance import keyword_relevance
from context_builder.question.request import ContextRequest
from context_builder.source import Fact, SourceResult

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
    rank: int
    """Position among the facts of its source, from 0."""
    fact: Fact
    on_topic: bool
    importance: float
    """From 0 to 1."""
    utility: float

    @property
    def leads(self) -> bool:
        """True if it comes before all that does not lead."""
        return self.fact.leads and self.on_topic


def rank_facts(request: ContextRequest, results: Sequence[SourceResult]) -> list[FactCandidate]:
    """Return the facts of all sources: those that lead, then the most useful first."""
    facts = [fact for result in results for fact in result.section.facts]
    relevance = iter(keyword_relevance(request, [fact.text for fact in facts]))
    candidates = _candidates(request, results, relevance)
    return sorted(candidates, key=lambda c: (not c.leads, -c.utility, c.source, c.rank))


def _candidates(
    request: ContextRequest, results: Sequence[SourceResult], keywords: Iterator[float]
) -> Iterator[FactCandidate]:
    for result in results:
        name, prefix = result.source.name, result.source.prefix
        for rank, fact in enumerate(result.section.facts):
            topics = fact.topics or result.source.topics
            shared = len(request.topics & topics)
            importance = min(1.0, max(0.0, fact.importance))
            relevance = OFF_TOPIC_RELEVANCE
            if shared:
                coverage, focus = shared / len(request.topics), shared / len(topics)
                relevance = MIN_TOPIC_RELEVANCE + (1 - MIN_TOPIC_RELEVANCE) * coverage * (1 + focus) / 2
            relevance *= 1 + KEYWORD_GAIN * next(keywords)
            utility = importance * relevance / (1 + rank / HALVING_RANK)
            yield FactCandidate(f"{prefix}{rank + 1}", name, rank, fact, shared > 0, importance, utility)


def duplicates_of(candidates: Sequence[FactCandidate], stated: Mapping[str, str]) -> dict[str, str]:
    """Map the reference of each duplicate fact to the reference of the fact that states the same.

    Facts with the same key are duplicates of the fact that includes them, else of the most useful one, or of
    the fact that `stated` names by key.
    """
    holders = {key: c.ref for c in reversed(candidates) for key in c.fact.states} | dict(stated)
    duplicates = {}
    for candidate in candidates:
        if candidate.fact.key:
            holder = holders.setdefault(candidate.fact.key, candidate.ref)
            if holder != candidate.ref:
                duplicates[candidate.ref] = holder
    return duplicates
