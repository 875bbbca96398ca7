"""Facts that ask for a place in the prompt, in the order of their utility. Pure.

Utility is importance within the source, times the relevance of the topics, raised by at most half by the
question's words, and discounted by how many facts of the same source came before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from context_builder.prompt.relevance import keyword_relevance
from context_builder.question.request import ContextRequest
from context_builder.source import Fact, SourceResult

OFF_TOPIC_RELEVANCE = 0.35
"""Relevance of a fact that shares no topic with the question."""
MIN_TOPIC_RELEVANCE = 0.6
"""Relevance of a fact that shares topics with the question; 1 if it is about all of them and nothing else."""
HALVING_RANK = 8
"""After this many facts of one source the next is worth half."""
KEYWORD_GAIN = 0.5
"""What a fact gains that says every word of the question; one off topic stays below one on topic."""


@dataclass(frozen=True, slots=True)
class FactCandidate:
    """A fact that asks for a place in the prompt."""

    ref: str
    source: str
    rank: int
    """Among the facts of its source, from 0."""
    fact: Fact
    on_topic: bool
    importance: float
    """From 0 to 1."""
    utility: float


def rank_facts(request: ContextRequest, readings: Sequence[SourceResult]) -> list[FactCandidate]:
    """All facts that were read, the most useful first."""
    facts = [fact for reading in readings for fact in reading.section.facts]
    close = iter(keyword_relevance(request, [fact.text for fact in facts]))
    return sorted(_candidates(request, readings, close), key=lambda c: (-c.utility, c.source, c.rank))


def _candidates(
    request: ContextRequest, readings: Sequence[SourceResult], close: Iterator[float]
) -> Iterator[FactCandidate]:
    for reading in readings:
        name, prefix = reading.source.name, reading.source.prefix
        for rank, fact in enumerate(reading.section.facts):
            topics = fact.topics or reading.source.topics
            shared = len(request.topics & topics)
            importance = min(1.0, max(0.0, fact.importance))
            relevance = OFF_TOPIC_RELEVANCE
            if shared:
                covered, focus = shared / len(request.topics), shared / len(topics)
                relevance = MIN_TOPIC_RELEVANCE + (1 - MIN_TOPIC_RELEVANCE) * covered * (1 + focus) / 2
            relevance *= 1 + KEYWORD_GAIN * next(close)
            utility = importance * relevance / (1 + rank / HALVING_RANK)
            yield FactCandidate(f"{prefix}{rank + 1}", name, rank, fact, shared > 0, importance, utility)


def duplicates_of(candidates: Sequence[FactCandidate], stated: Mapping[str, str]) -> dict[str, str]:
    """By reference of a fact that another one states as well, the reference of that one.

    Of several with the same key the most useful one states it, unless `stated` has a reference for the key.
    """
    holders = dict(stated)
    twins = {}
    for candidate in candidates:
        if candidate.fact.key:
            holder = holders.setdefault(candidate.fact.key, candidate.ref)
            if holder != candidate.ref:
                twins[candidate.ref] = holder
    return twins
