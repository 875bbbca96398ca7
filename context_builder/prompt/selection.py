"""Takes lines into the prompt while there is room, and says what became of the rest. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from context_builder.prompt.candidates import FactCandidate
from context_builder.prompt.manifest import Detail, FactEntry, SourceEntry
from context_builder.prompt.render import collapsed_name, fact_line
from context_builder.prompt.stable_facts import StableFacts
from context_builder.prompt.summaries import WIDTHS, Summary
from context_builder.prompt.tokens import TokenBound
from context_builder.source import Fact
from context_builder.text.sanitize import single_line

MIN_FULL_UTILITY = 0.3
"""Facts of less utility are shown in full only when all that fit are shown."""
MIN_LINE_TOKENS = 6
"""No line costs fewer tokens; with less left, nothing more is tried."""
COMPLETION_VALUE = 0.7
"""What completing a short fact is worth, as a share of what showing it was."""
ON_TOPIC_SHARE = 0.5
"""Of the room for facts: the most that the best facts of sources on topic take before their turn."""
OFF_TOPIC_SHARE = 0.15
"""The same of the best facts that are off topic."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A line that is tried."""

    source: str
    candidate: FactCandidate | None = None
    """None: the summary line alone."""
    detail: Detail = Detail.FULL
    early: bool = False
    """Whether it comes before its turn, in which it is tried again."""


@dataclass(frozen=True, slots=True)
class PromptLayout:
    """What is settled before the first fact is chosen."""

    summaries: Mapping[str, Summary]
    """By source, in the order of the prompt."""
    stable: StableFacts
    fixed: int
    """Bound of what is shown whatever is chosen."""

    def is_headed(self, source: str) -> bool:
        """Whether the source's line is shown even if none of its facts is."""
        return source in self.stable.sources or not self.summaries[source].is_foldable

    def stable_summary(self, summary: Summary, kept: int | None = None) -> SourceEntry:
        """The line in the stable part; it counts what that leaves out, also where it stands further below."""
        prefix, facts = summary.reading.source.prefix, summary.reading.section.facts
        left_out = [f for rank, f in enumerate(facts) if f"{prefix}{rank + 1}" not in self.stable.facts]
        widest = replace(summary, width=WIDTHS[0])
        kept = len(facts) - len(left_out) if kept is None else kept
        return widest.entry(kept=kept, left_out=left_out, stable=True)


class FactSelector:
    """What is taken of some candidates, which come in the order of their utility."""

    def __init__(
        self,
        plan: PromptLayout,
        candidates: Sequence[FactCandidate],
        stated: Mapping[str, str],
        room: int,
        bound: TokenBound,
    ) -> None:
        """`stated` has the reference of the fact that is shown instead, for facts that another one states.

        `room` is in tokens, for what is not fixed.
        """
        self.taken: list[bool] = []
        """Of each step up to the one after which there was no room at all, in the order of trying."""
        self._plan = plan
        self._candidates = candidates
        self._twins = stated
        self._bound = bound
        self._left = room
        self._left_early = {True: int(ON_TOPIC_SHARE * room), False: int(OFF_TOPIC_SHARE * room)}
        self._headed = {name for name in plan.summaries if plan.is_headed(name)}
        self._line_tokens: dict[str, int] = {}
        self._shown: dict[str, FactEntry] = {}
        self._refused: dict[str, str] = {}
        self._counted: dict[str, frozenset[str]] = {}

    def run(self) -> None:
        """Takes every step that fits."""
        for step in self._steps():
            if self._left < MIN_LINE_TOKENS:
                break
            if step.candidate is None:
                self.taken.append(self._show_line(step.source))
            else:
                self.taken.append(self._show_fact(step.candidate, step))

    def _steps(self) -> Iterator[Attempt]:
        """All there are, whatever the room is."""
        leading = self._leading()
        summaries = self._plan.summaries.values()
        yield from (_first_look(candidate, early=True) for candidate in leading if candidate.on_topic)
        # Where a source has no facts, its line is all that it has to say.
        silent = (summary for summary in summaries if not summary.reading.section.facts)
        yield from (Attempt(summary.name) for summary in silent if summary.on_topic)
        yield from (_first_look(candidate, early=True) for candidate in leading if not candidate.on_topic)
        settled = self._plan.stable.facts
        asking = [c for c in self._candidates if c.ref not in settled and c.ref not in self._twins]
        in_turn = [(c.utility, _first_look(c)) for c in asking]
        in_turn += [
            (COMPLETION_VALUE * c.utility, Attempt(c.source, c))
            for c in asking
            if c.fact.short and c.utility >= MIN_FULL_UTILITY
        ]
        # The order of equals is that of the candidates, what shows a fact before what completes one.
        in_turn.sort(key=lambda step: -step[0])
        yield from (step for _, step in in_turn)
        yield from (Attempt(c.source, c) for c in asking if c.fact.short and c.utility < MIN_FULL_UTILITY)
        yield from (Attempt(summary.name) for summary in sorted(summaries, key=lambda s: not s.on_topic))

    def _leading(self) -> list[FactCandidate]:
        """The best fact of every source, or the one that states it; the stable part has its own."""
        best = {candidate.source: candidate.ref for candidate in reversed(self._candidates)}
        settled = self._plan.stable
        leading = {self._twins.get(ref, ref) for name, ref in best.items() if name not in settled.sources}
        return [c for c in self._candidates if c.ref in leading and c.ref not in settled.facts]

    def _show_line(self, source: str) -> bool:
        if source in self._headed or (tokens := self._line(source)) > self._left:
            return False
        self._headed.add(source)
        self._left -= tokens
        return True

    def _show_fact(self, candidate: FactCandidate, step: Attempt) -> bool:
        shown = self._shown.get(candidate.ref)
        if candidate.ref in self._refused or (shown and shown.detail is step.detail):
            return False
        room = min(self._left, self._left_early[candidate.on_topic]) if step.early else self._left
        line = 0 if candidate.source in self._headed else self._line(candidate.source)
        before = shown.tokens if shown else 0
        entry = self._entry(candidate, step.detail, before + room - line)
        if entry is None:
            if not shown and not step.early:
                self._refused[candidate.ref] = f"no room: {self._left} tokens were left"
            return False
        cost = entry.tokens - before + line
        self._left -= cost
        self._left_early[candidate.on_topic] -= cost if step.early else 0
        self._shown[candidate.ref] = entry
        self._headed.add(candidate.source)
        return True

    def _line(self, source: str) -> int:
        """The most that a source's summary line costs beyond its name among the others, which it replaces."""
        if source not in self._line_tokens:
            summary = self._plan.summaries[source]
            name = collapsed_name(summary.folded(left_out=len(summary.reading.section.facts)))
            # Bounds are rounded up.
            saved = self._bound.of(f", {name}") - 1
            self._line_tokens[source] = summary.most_tokens(self._bound) - saved
        return self._line_tokens[source]

    def _entry(self, candidate: FactCandidate, detail: Detail, room: int) -> FactEntry | None:
        """The entry of a fact that is shown so, None where it does not fit."""
        text = single_line(candidate.fact.short if detail is Detail.SHORT else candidate.fact.text)
        if len(text) * self._bound.least_per_character > room:
            return None
        tokens = self._bound.of(fact_line(candidate.ref, text) + "\n")
        return _fact_entry(candidate, detail, tokens, text) if tokens <= room else None

    def facts(self) -> tuple[FactEntry, ...]:
        """One entry per candidate, in their order."""
        return tuple(
            self._shown.get(c.ref) or self._settled(c) or self._left_out(c) for c in self._candidates
        )

    def _settled(self, candidate: FactCandidate) -> FactEntry | None:
        fact = self._plan.stable.facts.get(candidate.ref)
        if fact is None:
            return None
        reason = "the same for every question"
        return _fact_entry(candidate, fact.detail, fact.tokens, fact.text, reason=reason, stable=True)

    def _left_out(self, candidate: FactCandidate) -> FactEntry:
        text = single_line(candidate.fact.text)
        if (twin := self._twins.get(candidate.ref)) is not None:
            shown = twin in self._shown or twin in self._plan.stable.facts
            reason = f"stated as {twin}" if shown else f"the same as {twin}, which had no room"
            return _fact_entry(candidate, Detail.CUT, 0, text, reason=reason, same_as=twin)
        why = self._refused.get(candidate.ref) or f"no room: {self._left} tokens were left"
        detail = Detail.COUNTED if self._is_counted(candidate) else Detail.CUT
        return _fact_entry(candidate, detail, 0, text, reason=f"utility {candidate.utility:.2f}, {why}")

    def _is_counted(self, candidate: FactCandidate) -> bool:
        """Whether the source's line gives the number of such facts."""
        name = candidate.source
        if name not in self._counted:
            headed = name in self._headed
            self._counted[name] = self._plan.summaries[name].counted_kinds() if headed else frozenset()
        return candidate.fact.kind in self._counted[name]

    def sources(self) -> tuple[SourceEntry, ...]:
        """One entry per source, in the order of the prompt."""
        kept: defaultdict[str, int] = defaultdict(int)
        left_out: defaultdict[str, list[FactCandidate]] = defaultdict(list)
        for candidate in self._candidates:
            if candidate.ref in self._shown or candidate.ref in self._plan.stable.facts:
                kept[candidate.source] += 1
            elif candidate.ref not in self._twins:
                left_out[candidate.source].append(candidate)
        return tuple(
            self._source(summary, kept[name], [c.fact for c in left_out[name]])
            for name, summary in self._plan.summaries.items()
        )

    def _source(self, summary: Summary, kept: int, left_out: Sequence[Fact]) -> SourceEntry:
        if summary.name in self._plan.stable.sources:
            return self._plan.stable_summary(summary, kept)
        if summary.name in self._headed:
            return summary.entry(kept=kept, left_out=left_out)
        return summary.folded(left_out=len(left_out))


def _first_look(candidate: FactCandidate, *, early: bool = False) -> Attempt:
    """The least that shows the fact."""
    detail = Detail.SHORT if candidate.fact.short else Detail.FULL
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
        importance=candidate.importance,
        same_as=same_as,
        stable=stable,
    )
