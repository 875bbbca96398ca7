"""Chooses what the prompt shows: the most useful facts whose token bound fits the budget. Pure.

Facts are taken in the order of their utility: relevance of the topic, times importance within the
source, discounted by how many facts of the same source came before, so that a flood in one source
never evicts the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from context_builder.manifest import Detail, FactEntry, Manifest, SourceEntry
from context_builder.render import fact_line, render
from context_builder.request import ContextRequest, QuestionError, Topic, UnknownName
from context_builder.source import Fact, Reading
from context_builder.tokens import FRAMING_TOKENS, TokenBound
from context_builder.untrusted import one_line

OFF_TOPIC = 0.35
"""Relevance of a fact that shares no topic with the question."""
CROWDING = 8
"""After this many facts of one source the next is worth half."""
SHORT_BELOW = 0.3
"""Facts of less utility are first shown short, so that more of them fit."""
SMALLEST_LINE = 6
"""No line costs fewer tokens; with less left, nothing more is tried."""
MAX_HEADER_CHARACTERS = 300
"""Headers are always shown, so they must stay small."""


class BudgetTooSmall(QuestionError):
    """The fixed parts of the prompt alone pass the token budget."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A fact that asks for a place in the prompt."""

    ref: str
    source: str
    fact: Fact
    on_topic: bool
    utility: float


def pack(request: ContextRequest, readings: Sequence[Reading], bound: TokenBound) -> Manifest:
    """The manifest of the best prompt within `request.token_budget`. Raises BudgetTooSmall."""
    candidates = sorted(_candidates(request.topics, readings), key=lambda c: (-c.utility, c.ref))
    ordered = sorted(readings, key=lambda r: (-_best_utility(candidates, r.source.name), r.source.name))
    fixed = prompt_bound(_manifest(request, ordered, None), bound)
    if fixed > request.token_budget:
        raise BudgetTooSmall(
            f"a token budget of {request.token_budget:,} cannot hold the fixed parts of the prompt, "
            f"which need {fixed:,}; give at least {fixed + 200:,}"
        )
    facts = _choose(candidates, request.token_budget - fixed, bound)
    packed = _manifest(request, ordered, facts)
    return replace(packed, token_bound=prompt_bound(packed, bound))


def prompt_bound(manifest: Manifest, bound: TokenBound) -> int:
    """Upper bound of the tokens that the API counts for the rendered prompt."""
    prompt = render(manifest)
    return bound.of(prompt.system) + bound.of(prompt.user) + FRAMING_TOKENS


def _candidates(topics: frozenset[Topic], readings: Sequence[Reading]) -> Iterator[Candidate]:
    for reading in readings:
        for rank, fact in enumerate(reading.section.facts):
            on_topic = not topics.isdisjoint(fact.topics or reading.source.topics)
            utility = fact.importance * (1.0 if on_topic else OFF_TOPIC) / (1 + rank / CROWDING)
            ref = f"{reading.source.prefix}{rank + 1}"
            yield Candidate(ref, reading.source.name, fact, on_topic, utility)


def _best_utility(candidates: Sequence[Candidate], source: str) -> float:
    return max((candidate.utility for candidate in candidates if candidate.source == source), default=0.0)


def _choose(candidates: Sequence[Candidate], budget: int, bound: TokenBound) -> tuple[FactEntry, ...]:
    """One entry per candidate, kept or cut, in order of utility."""
    left = budget
    entries: list[FactEntry] = []
    for candidate in candidates:
        entry = _place(candidate, left, bound)
        left -= entry.tokens
        entries.append(entry)
    for position, candidate in enumerate(candidates):
        if left < SMALLEST_LINE:
            break
        if entries[position].detail is Detail.SHORT:
            entry = _shown(candidate, Detail.FULL, bound)
            if entry.tokens - entries[position].tokens <= left:
                left -= entry.tokens - entries[position].tokens
                entries[position] = entry
    return tuple(entries)


def _place(candidate: Candidate, left: int, bound: TokenBound) -> FactEntry:
    if left >= SMALLEST_LINE:
        for detail in _details(candidate):
            entry = _shown(candidate, detail, bound)
            if entry.tokens <= left:
                return entry
    reason = f"utility {candidate.utility:.2f}, no room: {left} tokens were left"
    return _entry(candidate, Detail.CUT, 0, reason, candidate.fact.text)


def _details(candidate: Candidate) -> tuple[Detail, ...]:
    if not candidate.fact.short:
        return (Detail.FULL,)
    if candidate.utility < SHORT_BELOW:
        return (Detail.SHORT,)
    return (Detail.FULL, Detail.SHORT)


def _shown(candidate: Candidate, detail: Detail, bound: TokenBound) -> FactEntry:
    text = one_line(candidate.fact.short if detail is Detail.SHORT else candidate.fact.text)
    tokens = bound.of(fact_line(candidate.ref, text) + "\n")
    return _entry(candidate, detail, tokens, f"utility {candidate.utility:.2f}", text)


def _entry(candidate: Candidate, detail: Detail, tokens: int, reason: str, text: str) -> FactEntry:
    return FactEntry(candidate.ref, candidate.source, candidate.on_topic, detail, tokens, reason, text)


def _manifest(
    request: ContextRequest, readings: Sequence[Reading], facts: tuple[FactEntry, ...] | None
) -> Manifest:
    """With None, the fixed parts only, each as long as it can become."""
    kept = Counter(fact.source for fact in facts or () if fact.detail is not Detail.CUT)
    return Manifest(
        question=one_line(request.question, limit=len(request.question)),
        as_of=request.as_of,
        live=request.live,
        window=replace(request.window, origin=one_line(request.window.origin)),
        scope=tuple(one_line(label) for label in request.scope.labels),
        unknown_names=tuple(
            UnknownName(one_line(unknown.name), tuple(one_line(near) for near in unknown.near))
            for unknown in request.unknown_names
        ),
        topics=tuple(sorted(request.topics)),
        token_budget=request.token_budget,
        token_bound=0,
        build_ms=0,
        sources=tuple(
            _source_entry(reading, len(reading.section.facts) if facts is None else kept[reading.source.name])
            for reading in readings
        ),
        facts=facts or (),
        prompt_sha256="",
    )


def _source_entry(reading: Reading, kept: int) -> SourceEntry:
    return SourceEntry(
        name=reading.source.name,
        ref=f"{reading.source.prefix}0",
        status=reading.status,
        milliseconds=reading.milliseconds,
        header=one_line(reading.section.header, limit=MAX_HEADER_CHARACTERS),
        kept=kept,
        cut=len(reading.section.facts) - kept,
        gaps=tuple(one_line(gap, limit=MAX_HEADER_CHARACTERS) for gap in reading.section.gaps),
        error=reading.error and one_line(reading.error, limit=MAX_HEADER_CHARACTERS),
    )
