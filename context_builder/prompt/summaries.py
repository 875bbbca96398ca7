"""What the prompt says of each source as a whole: a line of its own, or its name among others. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from context_builder.prompt.manifest import SourceEntry
from context_builder.prompt.render import fact_line
from context_builder.prompt.tokens import TokenBound
from context_builder.question.request import Topic
from context_builder.source import Fact, SourceResult, Status
from context_builder.text.sanitize import single_line

MAX_KINDS = 3
"""Kinds of facts that one source counts apart; what is of further kinds is counted together."""
REST, ALL = "other facts", "facts"
"""What facts without a kind that is counted apart are counted as: beside such kinds, and alone."""
COLLAPSIBLE = (Status.OK, Status.EMPTY)
"""Sources that may be named without a line; every other status is always told in full."""


@dataclass(frozen=True, slots=True)
class SummaryWidth:
    """How long summary lines may be."""

    characters: int
    """Of the header, of an error and of each gap."""
    gaps: int


WIDTHS = (SummaryWidth(300, 5), SummaryWidth(150, 2), SummaryWidth(80, 1), SummaryWidth(40, 0))
"""The widest for which the lines that matter leave most of the budget to facts."""
FIRST_NARROW = 2
"""From this place on in WIDTHS, only lines that are always shown make the lines narrower."""


def first_with_rest(most: int, texts: Sequence[str]) -> tuple[str, ...]:
    """At most so many, and how many more there are."""
    rest = len(texts) - most
    return (*texts[:most], f"and {rest:,} more") if rest > 0 else tuple(texts)


@dataclass(frozen=True, slots=True)
class Summary:
    """The line of one source, at one width."""

    reading: SourceResult
    topics: frozenset[Topic]
    """Of the question."""
    width: SummaryWidth

    @property
    def name(self) -> str:
        """The source's."""
        return self.reading.source.name

    @property
    def on_topic(self) -> bool:
        """Whether the source helps with a topic of the question."""
        return not self.topics.isdisjoint(self.reading.source.topics)

    @property
    def is_foldable(self) -> bool:
        """Whether the source may do without a line."""
        return self.reading.status in COLLAPSIBLE

    def most_tokens(self, bound: TokenBound) -> int:
        """The most that the line costs, whichever facts are left out."""
        entry = self.entry(kept=0, left_out=self.reading.section.facts)
        return bound.of(fact_line(entry.ref, entry.text) + "\n\n")

    def entry(self, *, kept: int, left_out: Iterable[Fact], stable: bool = False) -> SourceEntry:
        """The line; `left_out` are the facts that nothing in the prompt states."""
        return self._entry(kept, _by_kind(self.reading.section.facts, left_out), folded=False, stable=stable)

    def folded(self, *, left_out: int) -> SourceEntry:
        """No line: only its name and status, and how much it has to say."""
        return self._entry(0, (f"+{left_out:,} {ALL}",) if left_out else (), folded=True, stable=False)

    def counted_kinds(self) -> frozenset[str]:
        """The kinds of which the line gives the number under their own name."""
        labels = _labels(self.reading.section.facts)
        return frozenset(kind for kind, label in labels.items() if kind and label not in (REST, ALL))

    def _entry(self, kept: int, not_shown: tuple[str, ...], *, folded: bool, stable: bool) -> SourceEntry:
        section, error = self.reading.section, self.reading.error
        return SourceEntry(
            name=self.name,
            ref=f"{self.reading.source.prefix}0",
            status=self.reading.status,
            milliseconds=self.reading.milliseconds,
            header=self._clipped(section.header),
            kept=kept,
            cut=len(section.facts) - kept,
            gaps=first_with_rest(self.width.gaps, [self._clipped(gap) for gap in section.gaps]),
            error=error and self._clipped(error),
            on_topic=self.on_topic,
            not_shown=not_shown,
            folded=folded,
            stable=stable,
        )

    def _clipped(self, text: str) -> str:
        return single_line(text, limit=self.width.characters)


def _by_kind(all_facts: Sequence[Fact], left_out: Iterable[Fact]) -> tuple[str, ...]:
    """Counts in the order in which the kinds first appear, so that fewer facts never make a longer text."""
    labels = _labels(all_facts)
    counts = Counter(labels[fact.kind] for fact in left_out)
    return tuple(f"+{counts[label]:,} {label}" for label in dict.fromkeys(labels.values()) if counts[label])


def _labels(facts: Sequence[Fact]) -> dict[str, str]:
    """What each kind is counted as."""
    kinds = [kind for kind in dict.fromkeys(fact.kind for fact in facts) if kind]
    counted = {kind: single_line(kind, limit=40) for kind in kinds[:MAX_KINDS]}
    rest = REST if counted else ALL
    return {"": rest} | counted | dict.fromkeys(kinds[MAX_KINDS:], rest)
