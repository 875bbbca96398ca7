"""The facts of a result as lines of the prompt: what depends on neither question nor budget. Pure."""

from __future__ import annotations

from functools import cached_property

from context_builder.prompt.headlines import safe_headline
from context_builder.prompt.relevance import folded
from context_builder.prompt.render import fact_line
from context_builder.prompt.tokens import TokenBound
from context_builder.source import SourceResult
from context_builder.text.sanitize import single_line


class FactLine:
    """A fact as it may be shown, made once for all questions that have its result."""

    def __init__(self, result: SourceResult, rank: int, bound: TokenBound) -> None:
        """Prepare a fact by its place among those of its source, from 0."""
        fact = result.section.facts[rank]
        self.ref = f"{result.source.prefix}{rank + 1}"
        self.source = result.source.name
        self.rank = rank
        self.fact = fact
        self.topics = fact.topics or result.source.topics
        self.importance = min(1.0, max(0.0, fact.importance))
        self.full = single_line(fact.text)
        self.short = single_line(fact.short)
        self.folded = folded(fact.text)
        self.headline = safe_headline(fact.headline)
        self._bound = bound

    # Most facts of a flood are never measured, so costs are counted when they are first asked for.
    @cached_property
    def full_tokens(self) -> int:
        """Return the token bound of the line in full."""
        return self._tokens(self.full)

    @cached_property
    def short_tokens(self) -> int:
        """Return the token bound of the short line."""
        return self._tokens(self.short)

    def _tokens(self, text: str) -> int:
        return self._bound.of(fact_line(self.ref, text) + "\n")


def lines_of(result: SourceResult, bound: TokenBound) -> tuple[FactLine, ...]:
    """Return the lines of a result's facts, in their order."""
    return result.derived(_lines, bound)


def _lines(result: SourceResult, bound: TokenBound) -> tuple[FactLine, ...]:
    return tuple(FactLine(result, rank, bound) for rank in range(len(result.section.facts)))
