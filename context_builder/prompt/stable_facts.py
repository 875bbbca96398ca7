"""Selects the stable part of the prompt, which is the same for every question of a class of budgets. Pure.

The selection depends on neither the question nor other sources: one byte of difference would make the API's
cache of the prefix useless.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from context_builder.prompt.manifest import Detail
from context_builder.prompt.render import fact_line
from context_builder.prompt.summaries import WIDTHS, Summary
from context_builder.prompt.tokens import TokenBound
from context_builder.source import Fact, SourceResult, Status
from context_builder.text.sanitize import single_line

MIN_BUDGET = 3_000
"""Smallest budget with a stable part, in tokens; each doubling begins the next class of budgets."""
STABLE_SHARE = 0.15
"""Maximum share of the stable part in the smallest budget of the class."""
_FENCES = "=== facts f00123456789 ===\n=== end of facts f00123456789 ===\n\n"


@dataclass(frozen=True, slots=True)
class StableFact:
    """A fact as shown in the stable part."""

    detail: Detail
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class StableFacts:
    """The content of the stable part."""

    sources: tuple[str, ...] = ()
    facts: Mapping[str, StableFact] = field(default_factory=dict)
    """By reference."""
    stated: Mapping[str, str] = field(default_factory=dict)
    """Reference by key of the fact."""


def select_stable(results: Sequence[SourceResult], budget: int, bound: TokenBound) -> StableFacts:
    """Select facts of the stable sources: all in full, or all short, or as many short ones as fit."""
    selected = [r for r in results if r.source.stable and r.status is Status.OK]
    selected.sort(key=lambda result: result.source.name)
    lines = sum(Summary(r, frozenset(), WIDTHS[0]).max_tokens(bound) for r in selected)
    room = _allowance(budget) - lines - bound.of(_FENCES)
    if not selected or room < 0:
        return StableFacts()
    facts = list(_by_rank(selected))
    for detail in (Detail.FULL, Detail.SHORT):
        shown = _all(facts, detail, room, bound)
        if shown is not None:
            return _stable_facts(selected, facts, shown)
    return _stable_facts(selected, facts, dict(_fitting(facts, room, bound)))


def _allowance(budget: int) -> int:
    """Return the maximum size of the stable part in tokens."""
    if budget < MIN_BUDGET:
        return 0
    smallest_of_class: int = MIN_BUDGET << ((budget // MIN_BUDGET).bit_length() - 1)
    return int(smallest_of_class * STABLE_SHARE)


def _by_rank(results: Sequence[SourceResult]) -> Iterator[tuple[str, Fact]]:
    """Yield the first fact of each source, then the second of each, and so on."""
    ranked = [
        (rank, f"{result.source.prefix}{rank + 1}", fact)
        for result in results
        for rank, fact in enumerate(result.section.facts)
    ]
    return ((ref, fact) for _, ref, fact in sorted(ranked, key=lambda entry: entry[0]))


def _shown(ref: str, fact: Fact, detail: Detail, bound: TokenBound) -> StableFact:
    is_short = bool(fact.short) and detail is Detail.SHORT
    text = single_line(fact.short if is_short else fact.text)
    tokens = bound.of(fact_line(ref, text) + "\n")
    return StableFact(Detail.SHORT if is_short else Detail.FULL, text, tokens)


def _all(
    facts: Sequence[tuple[str, Fact]], detail: Detail, room: int, bound: TokenBound
) -> dict[str, StableFact] | None:
    """Return all facts at this detail; None as soon as they do not fit."""
    shown: dict[str, StableFact] = {}
    for ref, fact in facts:
        shown[ref] = _shown(ref, fact, detail, bound)
        room -= shown[ref].tokens
        if room < 0:
            return None
    return shown


def _fitting(
    facts: Sequence[tuple[str, Fact]], room: int, bound: TokenBound
) -> Iterator[tuple[str, StableFact]]:
    for ref, fact in facts:
        shown = _shown(ref, fact, Detail.SHORT, bound)
        if shown.tokens <= room:
            room -= shown.tokens
            yield ref, shown


def _stable_facts(
    results: Sequence[SourceResult], facts: Sequence[tuple[str, Fact]], shown: Mapping[str, StableFact]
) -> StableFacts:
    stated: dict[str, str] = {}
    for ref, fact in facts:
        if fact.key and ref in shown:
            stated.setdefault(fact.key, ref)
    return StableFacts(tuple(result.source.name for result in results), shown, stated)
