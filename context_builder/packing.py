"""Chooses what the prompt shows: the most useful facts whose token bound fits the budget. Pure.

The best fact of every source comes first, so that a flood in one source never evicts what another has to
say. The others follow in the order of their utility: relevance of the topic, times importance within the
source, discounted by how many facts of the same source came before.

Each step shows one fact, short at first, or shows a short one in full, and is taken if it fits. So with a
larger budget the first step that is decided otherwise is one more that is taken.
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
"""Facts of less utility are shown in full only when all that fit are shown."""
SMALLEST_LINE = 6
"""No line costs fewer tokens; with less left, nothing more is tried."""

# What is always shown must stay small.
MAX_HEADER_CHARACTERS = 300
MAX_NAME_CHARACTERS = 220
MOST_GAPS = 5
MOST_LABELS = 20
MOST_UNKNOWN_NAMES = 10


class BudgetTooSmall(QuestionError):
    """The fixed parts of the prompt alone pass the token budget."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A fact that asks for a place in the prompt."""

    ref: str
    source: str
    rank: int
    """Among the facts of its source, from 0."""
    fact: Fact
    on_topic: bool
    utility: float


def pack(request: ContextRequest, readings: Sequence[Reading], bound: TokenBound) -> Manifest:
    """The manifest of the best prompt within `request.token_budget`. Raises BudgetTooSmall."""
    candidates = sorted(_candidates(request.topics, readings), key=_by_utility)
    best = {candidate.source: candidate.utility for candidate in reversed(candidates)}
    ordered = sorted(readings, key=lambda r: (-best.get(r.source.name, 0.0), r.source.name))
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
            importance = min(1.0, max(0.0, fact.importance))
            utility = importance * (1.0 if on_topic else OFF_TOPIC) / (1 + rank / CROWDING)
            ref = f"{reading.source.prefix}{rank + 1}"
            yield Candidate(ref, reading.source.name, rank, fact, on_topic, utility)


def _by_utility(candidate: Candidate) -> tuple[float, str, int]:
    return -candidate.utility, candidate.source, candidate.rank


def _choose(candidates: Sequence[Candidate], budget: int, bound: TokenBound) -> tuple[FactEntry, ...]:
    """One entry per candidate, kept or cut, in the order given."""
    left = budget
    shown: dict[str, FactEntry] = {}
    refused: dict[str, FactEntry] = {}
    for candidate, detail in _steps(candidates):
        if left < SMALLEST_LINE:
            break
        if candidate.ref in refused:
            continue
        before = shown[candidate.ref].tokens if candidate.ref in shown else 0
        entry = _shown(candidate, detail, bound, before + left)
        if entry is not None:
            shown[candidate.ref] = entry
            left -= entry.tokens - before
        elif candidate.ref not in shown:
            refused[candidate.ref] = _cut(candidate, left)
    return tuple(shown.get(c.ref) or refused.get(c.ref) or _cut(c, left) for c in candidates)


def _steps(candidates: Sequence[Candidate]) -> Iterator[tuple[Candidate, Detail]]:
    """What is tried, in this order; `candidates` in the order of their utility."""
    best = {candidate.source: candidate for candidate in reversed(candidates)}
    others = (candidate for candidate in candidates if candidate is not best[candidate.source])
    ordered = [*sorted(best.values(), key=_by_utility), *others]
    for candidate in ordered:
        if candidate.fact.short:
            yield candidate, Detail.SHORT
        if not candidate.fact.short or candidate.utility >= SHORT_BELOW:
            yield candidate, Detail.FULL
    for candidate in ordered:
        if candidate.fact.short and candidate.utility < SHORT_BELOW:
            yield candidate, Detail.FULL


def _shown(candidate: Candidate, detail: Detail, bound: TokenBound, room: int) -> FactEntry | None:
    """The entry of a fact that is shown so, None where it does not fit."""
    text = one_line(candidate.fact.short if detail is Detail.SHORT else candidate.fact.text)
    if len(text) * bound.least_per_character > room:
        return None
    tokens = bound.of(fact_line(candidate.ref, text) + "\n")
    reason = f"utility {candidate.utility:.2f}"
    return _entry(candidate, detail, tokens, reason, text) if tokens <= room else None


def _cut(candidate: Candidate, left: int) -> FactEntry:
    reason = f"utility {candidate.utility:.2f}, no room: {left} tokens were left"
    return _entry(candidate, Detail.CUT, 0, reason, one_line(candidate.fact.text))


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
        window=replace(request.window, origin=_name(request.window.origin)),
        scope=_first(MOST_LABELS, [_name(label) for label in request.scope.labels]),
        unknown_names=tuple(
            UnknownName(_name(unknown.name), tuple(_name(near) for near in unknown.near))
            for unknown in request.unknown_names[:MOST_UNKNOWN_NAMES]
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
        header=_header(reading.section.header),
        kept=kept,
        cut=len(reading.section.facts) - kept,
        gaps=_first(MOST_GAPS, [_header(gap) for gap in reading.section.gaps]),
        error=reading.error and _header(reading.error),
    )


def _header(text: str) -> str:
    return one_line(text, limit=MAX_HEADER_CHARACTERS)


def _name(text: str) -> str:
    return one_line(text, limit=MAX_NAME_CHARACTERS)


def _first(most: int, texts: Sequence[str]) -> tuple[str, ...]:
    rest = len(texts) - most
    return (*texts[:most], f"and {rest:,} more") if rest > 0 else tuple(texts)
