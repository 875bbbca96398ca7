"""Summaries of sources: each is a line of its own, or collapsed to a name in a list of sources. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from context_builder.prompt.headlines import safe_headline
from context_builder.prompt.manifest import SourceEntry
from context_builder.prompt.render import collapsed_name, fact_line
from context_builder.prompt.tokens import TokenBound
from context_builder.question.request import Topic
from context_builder.source import Fact, SourceResult, Status
from context_builder.text.sanitize import single_line

MAX_KINDS = 3
"""Kinds of facts that a source counts separately; facts of further kinds are counted together."""
MAX_KIND_CHARACTERS = 40
REST, ALL = "other facts", "facts"
"""Labels for facts without a kind of their own, beside such kinds and alone."""
COLLAPSIBLE = (Status.OK, Status.EMPTY)
"""Statuses of sources that may be collapsed; any other status always has its own line."""


@dataclass(frozen=True, slots=True)
class SummaryWidth:
    """Limits of a summary line."""

    characters: int
    """Of the header, of the error and of each gap."""
    gaps: int


WIDTHS = (SummaryWidth(300, 5), SummaryWidth(150, 2), SummaryWidth(80, 1), SummaryWidth(40, 0))
"""From wide to narrow."""
FIRST_NARROW = 2
"""Index in WIDTHS from which only lines that are always shown make the lines narrower."""


def first_with_rest(texts: Sequence[str], limit: int) -> tuple[str, ...]:
    """Return the first `limit` texts, followed by the number of omitted ones if there are any."""
    rest = len(texts) - limit
    return (*texts[:limit], f"and {rest:,} more") if rest > 0 else tuple(texts)


@dataclass(frozen=True, slots=True)
class Summary:
    """The summary line of one source at one width."""

    result: SourceResult
    topics: frozenset[Topic]
    """Topics of the question."""
    width: SummaryWidth

    @property
    def name(self) -> str:
        """The name of the source."""
        return self.result.source.name

    @property
    def on_topic(self) -> bool:
        """True if the source shares a topic with the question."""
        return not self.topics.isdisjoint(self.result.source.topics)

    @property
    def is_collapsible(self) -> bool:
        """True if the source does not need a line of its own."""
        return self.result.status in COLLAPSIBLE

    def max_tokens(self, bound: TokenBound) -> int:
        """Return the token bound of the longest line, which counts all facts as omitted."""
        return self.result.derived(_max_tokens, self.width, bound)

    @property
    def is_aside(self) -> bool:
        """True if it stays in the list of collapsed sources, with its header if there is room."""
        return not self.result.section.applies

    def extra_tokens(self, bound: TokenBound) -> int:
        """Return what showing it costs beyond the collapsed name that it replaces."""
        shown = self.max_tokens(bound)
        if self.is_aside:
            shown = bound.of(f", {collapsed_name(self.collapsed_entry(with_header=True))}")
        # Bounds are rounded up.
        return shown - (self.result.derived(_collapsed_tokens, self.width, bound) - 1)

    def entry(self, *, kept: int, omitted: Iterable[Fact], stable: bool = False) -> SourceEntry:
        """Return the source with a line of its own; `omitted` facts are stated nowhere in the prompt."""
        return self._entry(kept, _count_by_kind(self.result, omitted), stable=stable)

    def collapsed_entry(self, *, with_header: bool = False) -> SourceEntry:
        """Return the source without a line: its name and status, with its header in parentheses or not."""
        header = (self._truncated(self.result.section.header),) if with_header else ()
        return self._entry(0, header, collapsed=True)

    def counted_kinds(self) -> frozenset[str]:
        """Return the kinds of facts that the line counts separately."""
        labels = self.result.derived(_labels)
        return frozenset(kind for kind, label in labels.items() if kind and label not in (REST, ALL))

    def _entry(
        self, kept: int, not_shown: tuple[str, ...], *, collapsed: bool = False, stable: bool = False
    ) -> SourceEntry:
        section, error = self.result.section, self.result.error
        return SourceEntry(
            name=self.name,
            ref=f"{self.result.source.prefix}0",
            status=self.result.status,
            milliseconds=self.result.milliseconds,
            header=self._truncated(section.header),
            kept=kept,
            cut=len(section.facts) - kept,
            gaps=first_with_rest([self._truncated(gap) for gap in section.gaps], self.width.gaps),
            error=error and self._truncated(error),
            on_topic=self.on_topic,
            not_shown=not_shown,
            folded=collapsed,
            stable=stable,
            headline=safe_headline(section.headline),
        )

    def _truncated(self, text: str) -> str:
        """Return a text in whole clauses as far as they fit, so that no figure loses its meaning."""
        line, limit = single_line(text), self.width.characters
        if len(line) <= limit:
            return line
        for mark in ("; ", ", ", " (", ": ", " "):
            ends = [place for place in range(limit - len(mark)) if line.startswith(mark, place)]
            whole = [line[:end] for end in ends if line[:end].count("«") == line[:end].count("»")]
            if whole:
                return f"{whole[-1]}{mark.removesuffix('(')}…"
        return single_line(text, limit=limit)


def _max_tokens(result: SourceResult, width: SummaryWidth, bound: TokenBound) -> int:
    entry = Summary(result, frozenset(), width).entry(kept=0, omitted=result.section.facts)
    return bound.of(fact_line(entry.ref, entry.text) + "\n\n")


def _collapsed_tokens(result: SourceResult, width: SummaryWidth, bound: TokenBound) -> int:
    entry = Summary(result, frozenset(), width).collapsed_entry()
    return bound.of(f", {collapsed_name(entry)}")


def _count_by_kind(result: SourceResult, omitted: Iterable[Fact]) -> tuple[str, ...]:
    """Return counts in order of the kinds' first appearance, so that fewer facts never make a longer text."""
    labels = result.derived(_labels)
    counts = Counter(labels[fact.kind] for fact in omitted)
    return tuple(f"+{counts[label]:,} {label}" for label in dict.fromkeys(labels.values()) if counts[label])


def _labels(result: SourceResult) -> Mapping[str, str]:
    """Map each kind of a source's facts to the label under which they are counted."""
    kinds = [kind for kind in dict.fromkeys(fact.kind for fact in result.section.facts) if kind]
    counted = {kind: single_line(kind, limit=MAX_KIND_CHARACTERS) for kind in kinds[:MAX_KINDS]}
    rest = REST if counted else ALL
    return {"": rest} | counted | dict.fromkeys(kinds[MAX_KINDS:], rest)
