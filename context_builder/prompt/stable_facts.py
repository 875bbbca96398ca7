"""Chooses what the prompt's stable part shows: the same for every question of a class of budgets. Pure.

Neither the question's words, topics and window nor what other sources say decide here, since one byte that
differs would make the API's cache of the prefix useless.
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
"""Below this there is no stable part; every doubling of the budget is the next class."""
STABLE_SHARE = 0.15
"""Of the smallest budget of the class: the most that the stable part takes."""
_FENCES = "=== facts f00123456789 ===\n=== end of facts f00123456789 ===\n\n"


@dataclass(frozen=True, slots=True)
class StableFact:
    """A fact as the stable part shows it."""

    detail: Detail
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class StableFacts:
    """What the stable part shows."""

    sources: tuple[str, ...] = ()
    facts: Mapping[str, StableFact] = field(default_factory=dict)
    """By reference."""
    stated: Mapping[str, str] = field(default_factory=dict)
    """By key of a fact, its reference."""


def select_stable(readings: Sequence[SourceResult], budget: int, bound: TokenBound) -> StableFacts:
    """The facts of the stable sources: all in full, or all short, or as many short ones as fit."""
    chosen = [r for r in readings if r.source.stable and r.status is Status.OK]
    chosen.sort(key=lambda reading: reading.source.name)
    lines = sum(Summary(r, frozenset(), WIDTHS[0]).most_tokens(bound) for r in chosen)
    room = _allowance(budget) - lines - bound.of(_FENCES)
    if not chosen or room < 0:
        return StableFacts()
    facts = list(_by_rank(chosen))
    for detail in (Detail.FULL, Detail.SHORT):
        shown = _all(facts, detail, room, bound)
        if shown is not None:
            return _chosen(chosen, facts, shown)
    return _chosen(chosen, facts, dict(_fitting(facts, room, bound)))


def _allowance(budget: int) -> int:
    if budget < MIN_BUDGET:
        return 0
    smallest_of_class: int = MIN_BUDGET << ((budget // MIN_BUDGET).bit_length() - 1)
    return int(smallest_of_class * STABLE_SHARE)


def _by_rank(readings: Sequence[SourceResult]) -> Iterator[tuple[str, Fact]]:
    """The first fact of each source, then the second of each."""
    ranked = [
        (rank, f"{reading.source.prefix}{rank + 1}", fact)
        for reading in readings
        for rank, fact in enumerate(reading.section.facts)
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
    """Every fact at this detail; None where they do not fit, which a flood of them shows soon."""
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


def _chosen(
    readings: Sequence[SourceResult], facts: Sequence[tuple[str, Fact]], shown: Mapping[str, StableFact]
) -> StableFacts:
    stated: dict[str, str] = {}
    for ref, fact in facts:
        if fact.key and ref in shown:
            stated.setdefault(fact.key, ref)
    return StableFacts(tuple(reading.source.name for reading in readings), shown, stated)
