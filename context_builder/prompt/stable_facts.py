"""Selects the stable part of the prompt, which is the same for every question of a class of budgets. Pure.

The selection depends on neither the question nor other sources: one byte of difference would make the API's
cache of the prefix useless.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from context_builder.prompt.fact_lines import FactLine, lines_of
from context_builder.prompt.manifest import Detail
from context_builder.prompt.summaries import WIDTHS, Summary
from context_builder.prompt.tokens import TokenBound
from context_builder.source import SourceResult, Status

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
    summaries = sum(Summary(r, frozenset(), WIDTHS[0]).max_tokens(bound) for r in selected)
    room = _allowance(budget) - summaries - bound.of(_FENCES)
    if not selected or room < 0:
        return StableFacts()
    # The first fact of each source, then the second of each, and so on.
    lines = sorted((line for r in selected for line in lines_of(r, bound)), key=lambda line: line.rank)
    for detail in (Detail.FULL, Detail.SHORT):
        shown = _all(lines, detail, room)
        if shown is not None:
            return _stable_facts(selected, lines, shown)
    return _stable_facts(selected, lines, dict(_fitting(lines, room)))


def _allowance(budget: int) -> int:
    """Return the maximum size of the stable part in tokens."""
    if budget < MIN_BUDGET:
        return 0
    smallest_of_class: int = MIN_BUDGET << ((budget // MIN_BUDGET).bit_length() - 1)
    return int(smallest_of_class * STABLE_SHARE)


def _shown(line: FactLine, detail: Detail) -> StableFact:
    if line.fact.short and detail is Detail.SHORT:
        return StableFact(Detail.SHORT, line.short, line.short_tokens)
    return StableFact(Detail.FULL, line.full, line.full_tokens)


def _all(lines: Sequence[FactLine], detail: Detail, room: int) -> dict[str, StableFact] | None:
    """Return all facts at this detail; None as soon as they do not fit."""
    shown: dict[str, StableFact] = {}
    for line in lines:
        shown[line.ref] = _shown(line, detail)
        room -= shown[line.ref].tokens
        if room < 0:
            return None
    return shown


def _fitting(lines: Sequence[FactLine], room: int) -> Iterator[tuple[str, StableFact]]:
    for line in lines:
        shown = _shown(line, Detail.SHORT)
        if shown.tokens <= room:
            room -= shown.tokens
            yield line.ref, shown


def _stable_facts(
    results: Sequence[SourceResult], lines: Sequence[FactLine], shown: Mapping[str, StableFact]
) -> StableFacts:
    stated: dict[str, str] = {}
    for line in lines:
        if line.fact.key and line.ref in shown:
            stated.setdefault(line.fact.key, line.ref)
    return StableFacts(tuple(result.source.name for result in results), shown, stated)
