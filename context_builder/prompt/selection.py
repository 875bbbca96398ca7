"""Selects facts for the prompt while there is room, and records what happens to the others. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import NamedTuple

from context_builder.prompt.candidates import FactCandidate
from context_builder.prompt.manifest import Detail, FactEntry, SourceEntry
from context_builder.prompt.stable_facts import StableFacts
from context_builder.prompt.summaries import WIDTHS, Summary
from context_builder.prompt.tokens import TokenBound
from context_builder.source import Fact

MIN_FULL_UTILITY = 0.3
"""Facts of less utility are shown in full only if everything fits."""
MIN_LINE_TOKENS = 6
"""Every line costs at least this much; with less room left the selection stops."""
COMPLETION_VALUE = 0.7
"""Value of completing a fact that is shown short, as a share of its utility."""
LEADING_SHARE = 0.85
"""Maximum share of the room for facts for those that lead, ahead of all others."""
ON_TOPIC_SHARE = 0.5
"""The same for the best facts on topic of each source, ahead of their turn."""
OFF_TOPIC_SHARE = 0.15
"""The same for the best facts off topic."""
EARLY_SHARES = (LEADING_SHARE, ON_TOPIC_SHARE, OFF_TOPIC_SHARE)


class Attempt(NamedTuple):
    """An attempt to show one line; a tuple, since every question makes hundreds."""

    source: str
    candidate: FactCandidate | None = None
    """None for the summary line alone."""
    detail: Detail = Detail.FULL
    early: bool = False
    """True if it is ahead of its turn; it is attempted again in its turn."""


@dataclass(frozen=True, slots=True)
class PromptLayout:
    """The parts of the prompt that are fixed before facts are selected."""

    summaries: Mapping[str, Summary]
    """By source, in the order of the prompt."""
    stable: StableFacts
    fixed: int
    """Token bound of the fixed parts."""

    def has_summary(self, source: str) -> bool:
        """Return True if the summary line of the source is shown even without any of its facts."""
        return source in self.stable.sources or not self.summaries[source].is_collapsible

    def stable_summary(self, summary: Summary, kept: int | None = None) -> SourceEntry:
        """Return the line in the stable part; it counts what that part omits, even if shown further below."""
        prefix, facts = summary.result.source.prefix, summary.result.section.facts
        omitted = [f for rank, f in enumerate(facts) if f"{prefix}{rank + 1}" not in self.stable.facts]
        widest = replace(summary, width=WIDTHS[0])
        kept = len(facts) - len(omitted) if kept is None else kept
        return widest.entry(kept=kept, omitted=omitted, stable=True)


class FactSelector:
    """Selects from candidates that are sorted by utility."""

    def __init__(
        self,
        layout: PromptLayout,
        candidates: Sequence[FactCandidate],
        duplicates: Mapping[str, str],
        room: int,
        bound: TokenBound,
    ) -> None:
        """Prepare a selection.

        `duplicates` maps references of facts that are not shown to those of the facts that state the same.
        `room` is the budget beside the fixed parts, in tokens.
        """
        self.accepted: list[bool] = []
        """The outcome of each attempt until there was no room at all, in the order of attempts."""
        self._layout = layout
        self._candidates = candidates
        self._duplicates = duplicates
        self._bound = bound
        self._min_per_character = bound.min_tokens_per_character
        self._room = room
        self._early_room = {share: int(share * room) for share in EARLY_SHARES}
        self._with_summary = {name for name in layout.summaries if layout.has_summary(name)}
        self._shown: dict[str, FactEntry] = {}
        self._refused: dict[str, str] = {}
        self._summary_tokens: dict[str, int] = {}
        self._counted_kinds: dict[str, frozenset[str]] = {}

    def run(self) -> None:
        """Make all attempts in order and accept each that fits."""
        for attempt in self._attempts():
            if self._room < MIN_LINE_TOKENS:
                break
            if attempt.candidate is None:
                self.accepted.append(self._show_summary(attempt.source))
            else:
                self.accepted.append(self._show_fact(attempt.candidate, attempt))

    def _attempts(self) -> Iterator[Attempt]:
        """Yield all attempts in an order that does not depend on the room."""
        yield from self._early_attempts()
        in_layout = self._layout.stable.facts
        waiting = [c for c in self._candidates if c.ref not in in_layout and c.ref not in self._duplicates]
        shortened = [c for c in waiting if c.line.fact.short]
        by_value = [(c.utility, _shortest(c)) for c in waiting]
        by_value += [
            (COMPLETION_VALUE * c.utility, Attempt(c.source, c))
            for c in shortened
            if c.utility >= MIN_FULL_UTILITY
        ]
        # Stable: equal values keep the order of candidates, showing a fact before completing one.
        by_value.sort(key=itemgetter(0), reverse=True)
        yield from (attempt for _, attempt in by_value)
        yield from (Attempt(c.source, c) for c in shortened if c.utility < MIN_FULL_UTILITY)
        summaries = sorted(self._layout.summaries.values(), key=lambda summary: not summary.on_topic)
        yield from (Attempt(summary.name) for summary in summaries)

    def _early_attempts(self) -> Iterator[Attempt]:
        """Yield the facts that lead, then the best fact of every source, those on topic first."""
        yield from (_shortest(candidate, early=True) for candidate in self._candidates if candidate.leads)
        best = self._best_of_sources()
        yield from (_shortest(candidate, early=True) for candidate in best if candidate.on_topic)
        for summary in self._layout.summaries.values():
            # Without facts, the summary line is the source's whole content.
            if summary.on_topic and not summary.result.section.facts and not summary.is_aside:
                yield Attempt(summary.name)
        yield from (_shortest(candidate, early=True) for candidate in best if not candidate.on_topic)

    def _best_of_sources(self) -> list[FactCandidate]:
        """Return the best fact of every source that is not in the stable part, or the fact it duplicates."""
        best = {candidate.source: candidate.ref for candidate in reversed(self._candidates)}
        stable = self._layout.stable
        refs = {self._duplicates.get(ref, ref) for name, ref in best.items() if name not in stable.sources}
        return [c for c in self._candidates if c.ref in refs and c.ref not in stable.facts]

    def _show_summary(self, source: str) -> bool:
        tokens = self._missing_summary_tokens(source)
        if source in self._with_summary or tokens > self._room:
            return False
        self._with_summary.add(source)
        self._room -= tokens
        return True

    def _show_fact(self, candidate: FactCandidate, attempt: Attempt) -> bool:
        shown = self._shown.get(candidate.ref)
        if candidate.ref in self._refused or (shown and shown.detail is attempt.detail):
            return False
        previous = shown.tokens if shown else 0
        summary = self._missing_summary_tokens(candidate.source)
        entry = self._entry(candidate, attempt.detail, previous + self._room_for(attempt) - summary)
        if entry is None:
            if not shown and not attempt.early:
                self._refused[candidate.ref] = self._no_room()
            return False
        cost = entry.tokens - previous + summary
        self._room -= cost
        if attempt.early:
            self._early_room[_early_share(candidate)] -= cost
        self._shown[candidate.ref] = entry
        self._with_summary.add(candidate.source)
        return True

    def _room_for(self, attempt: Attempt) -> int:
        if attempt.early and attempt.candidate:
            return min(self._room, self._early_room[_early_share(attempt.candidate)])
        return self._room

    def _no_room(self) -> str:
        return f"no room: {self._room} tokens left"

    def _missing_summary_tokens(self, source: str) -> int:
        """Return the cost of showing the summary line instead of the collapsed name; 0 if it is shown."""
        if source in self._with_summary:
            return 0
        if source not in self._summary_tokens:
            self._summary_tokens[source] = self._layout.summaries[source].extra_tokens(self._bound)
        return self._summary_tokens[source]

    def _entry(self, candidate: FactCandidate, detail: Detail, room: int) -> FactEntry | None:
        """Return the fact at this detail, None if it does not fit."""
        line, is_short = candidate.line, detail is Detail.SHORT
        text = line.short if is_short else line.full
        if len(text) * self._min_per_character > room:
            return None
        tokens = line.short_tokens if is_short else line.full_tokens
        return _fact_entry(candidate, detail, tokens, text) if tokens <= room else None

    def facts(self) -> tuple[FactEntry, ...]:
        """Return one entry per candidate, in the order of candidates."""
        return tuple(
            self._shown.get(c.ref) or self._stable_entry(c) or self._omitted_entry(c)
            for c in self._candidates
        )

    def _stable_entry(self, candidate: FactCandidate) -> FactEntry | None:
        fact = self._layout.stable.facts.get(candidate.ref)
        if fact is None:
            return None
        reason = "same for every question"
        return _fact_entry(candidate, fact.detail, fact.tokens, fact.text, reason=reason, stable=True)

    def _omitted_entry(self, candidate: FactCandidate) -> FactEntry:
        text = candidate.line.full
        if (original := self._duplicates.get(candidate.ref)) is not None:
            is_shown = original in self._shown or original in self._layout.stable.facts
            reason = f"duplicate of {original}{'' if is_shown else ', which did not fit'}"
            return _fact_entry(candidate, Detail.CUT, 0, text, reason=reason, same_as=original)
        why = self._refused.get(candidate.ref) or self._no_room()
        detail = Detail.COUNTED if self._is_counted(candidate) else Detail.CUT
        return _fact_entry(candidate, detail, 0, text, reason=f"utility {candidate.utility:.2f}, {why}")

    def _is_counted(self, candidate: FactCandidate) -> bool:
        """Return True if the source's summary line counts facts of this kind."""
        name = candidate.source
        if name not in self._counted_kinds:
            summary = self._layout.summaries[name]
            self._counted_kinds[name] = summary.counted_kinds() if name in self._with_summary else frozenset()
        return candidate.line.fact.kind in self._counted_kinds[name]

    def sources(self) -> tuple[SourceEntry, ...]:
        """Return one entry per source, in the order of the prompt."""
        kept: defaultdict[str, int] = defaultdict(int)
        omitted: defaultdict[str, list[Fact]] = defaultdict(list)
        for candidate in self._candidates:
            if candidate.ref in self._shown or candidate.ref in self._layout.stable.facts:
                kept[candidate.source] += 1
            elif candidate.ref not in self._duplicates:
                omitted[candidate.source].append(candidate.line.fact)
        return tuple(
            self._source(summary, kept[name], omitted[name])
            for name, summary in self._layout.summaries.items()
        )

    def _source(self, summary: Summary, kept: int, omitted: Sequence[Fact]) -> SourceEntry:
        if summary.name in self._layout.stable.sources:
            return self._layout.stable_summary(summary, kept)
        is_told = summary.name in self._with_summary
        if is_told and not summary.is_aside:
            return summary.entry(kept=kept, omitted=omitted)
        return summary.collapsed_entry(with_header=is_told)


def _early_share(candidate: FactCandidate) -> float:
    if candidate.leads:
        return LEADING_SHARE
    return ON_TOPIC_SHARE if candidate.on_topic else OFF_TOPIC_SHARE


def _shortest(candidate: FactCandidate, *, early: bool = False) -> Attempt:
    """Return the attempt that shows as little of the fact as possible."""
    detail = Detail.SHORT if candidate.line.fact.short else Detail.FULL
    return Attempt(candidate.source, candidate, detail, early=early)


def _fact_entry(
    candidate: FactCandidate,
    detail: Detail,
    tokens: int,
    text: str,
    *,
    reason: str = "",
    same_as: str | None = None,
    stable: bool = False,
) -> FactEntry:
    return FactEntry(
        ref=candidate.ref,
        source=candidate.source,
        on_topic=candidate.on_topic,
        detail=detail,
        tokens=tokens,
        reason=reason or f"utility {candidate.utility:.2f}",
        text=text,
        importance=candidate.line.importance,
        same_as=same_as,
        stable=stable,
        approved=candidate.line.fact.approved,
        headline=candidate.line.headline,
    )
