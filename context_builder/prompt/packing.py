"""Packs the prompt: the most useful facts whose token bound fits the budget. Pure.

The best fact of every source comes first, as short as possible, so that a flood of facts in one source never
evicts all of another: the facts on topic first, then the others, each within a share of the room. The rest
follows by utility, where completing a fact that is shown short is worth less than showing it was. Showing
the first fact of a source also shows its summary line.

Each attempt shows one line, short at first, or completes a line, and is accepted if it fits. The order of
attempts does not depend on the budget: with a larger budget, the first attempt with a different outcome is
one more that is accepted. Before any attempt, the budget determines the stable part and the width of summary
lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from context_builder.prompt.candidates import duplicates_of, rank_facts
from context_builder.prompt.manifest import FactEntry, Manifest, SideEntry, SourceEntry
from context_builder.prompt.render import render
from context_builder.prompt.selection import FactSelector, PromptLayout
from context_builder.prompt.stable_facts import StableFacts, select_stable
from context_builder.prompt.summaries import FIRST_NARROW, WIDTHS, Summary, first_with_rest
from context_builder.prompt.tokens import FRAMING_TOKENS, TokenBound
from context_builder.question.request import ContextRequest, NotUsed, QuestionError, Side, UnknownName
from context_builder.source import SourceResult
from context_builder.text.sanitize import single_line

SUMMARY_SHARE = 0.4
"""Maximum share of summary lines, in the budget beside the fixed parts, before they are made narrower."""

# Limits of what is always shown.
MAX_NAME_CHARACTERS = 220
MAX_LABELS = 20
MAX_UNKNOWN_NAMES = 10
MAX_NOT_USED = 6
MAX_NOTES = 4
MAX_PART_CHARACTERS = 60
"""Of a part of the question that is not used, and of its reason: an answer says both in one line."""
MAX_NOTE_CHARACTERS = 145
MAX_SIDES = 2
MAX_SIDE_LABELS = 5
MAX_SIDE_INTERVALS = 4


class BudgetTooSmall(QuestionError):
    """The fixed parts of the prompt alone exceed the token budget."""


def pack(request: ContextRequest, results: Sequence[SourceResult], bound: TokenBound) -> Manifest:
    """Return the manifest of the best prompt within `request.token_budget`.

    Raises:
        BudgetTooSmall: The fixed parts of the prompt do not fit.
    """
    selector = select_facts(request, results, bound)
    packed = _manifest(request, selector.sources(), selector.facts())
    return replace(packed, token_bound=prompt_bound(packed, bound))


def select_facts(request: ContextRequest, results: Sequence[SourceResult], bound: TokenBound) -> FactSelector:
    """Select the facts to show.

    Raises:
        BudgetTooSmall: The fixed parts of the prompt do not fit.
    """
    candidates = rank_facts(request, results, bound)
    first = {candidate.source: place for place, candidate in reversed(list(enumerate(candidates)))}
    ordered = sorted(results, key=lambda r: (first.get(r.source.name, len(candidates)), r.source.name))
    layout = _layout(request, ordered, select_stable(results, request.token_budget, bound), bound)
    if layout.stable.sources and layout.fixed > request.token_budget:
        layout = _layout(request, ordered, StableFacts(), bound)
    if layout.fixed > request.token_budget:
        raise BudgetTooSmall(
            f"a token budget of {request.token_budget:,} cannot hold the fixed parts of the prompt, "
            f"which need {layout.fixed:,}; give at least {layout.fixed + 200:,}"
        )
    duplicates = duplicates_of(candidates, layout.stable.stated)
    selector = FactSelector(layout, candidates, duplicates, request.token_budget - layout.fixed, bound)
    selector.run()
    return selector


def prompt_bound(manifest: Manifest, bound: TokenBound) -> int:
    """Return an upper bound of the tokens that the API counts for the rendered prompt."""
    prompt = render(manifest)
    return sum(map(bound.of, (prompt.system, prompt.stable, prompt.user))) + FRAMING_TOKENS


def _layout(
    request: ContextRequest, results: Sequence[SourceResult], stable: StableFacts, bound: TokenBound
) -> PromptLayout:
    """Choose the widest summary lines that leave most of the budget to facts."""
    layouts = [
        PromptLayout({r.source.name: Summary(r, request.topics, width) for r in results}, stable, 0)
        for width in WIDTHS
    ]
    base = prompt_bound(_manifest(request, _fixed_sources(layouts[0]), _stable_entries(layouts[0])), bound)
    room = SUMMARY_SHARE * (request.token_budget - base)
    for allowed, with_likely in ((layouts, True), (layouts[FIRST_NARROW:], False)):
        for layout in allowed:
            always, likely = _summary_tokens(layout, bound)
            if always + with_likely * likely <= room:
                return replace(layout, fixed=base + always)
    return replace(layout, fixed=base + always)


def _summary_tokens(layout: PromptLayout, bound: TokenBound) -> tuple[int, int]:
    """Return the bounds of the summary lines that are always shown and of those shown if there is room."""
    lines = [s for name, s in layout.summaries.items() if name not in layout.stable.sources]
    always = sum(line.max_tokens(bound) for line in lines if not line.is_collapsible)
    return always, sum(line.max_tokens(bound) for line in lines if line.is_collapsible and line.on_topic)


def _fixed_sources(layout: PromptLayout) -> tuple[SourceEntry, ...]:
    """Return the sources of the stable part, and the others collapsed."""
    entries = []
    for summary in layout.summaries.values():
        if summary.name in layout.stable.sources:
            entries.append(layout.stable_summary(summary))
        elif summary.is_collapsible:
            entries.append(summary.collapsed_entry())
    return tuple(entries)


def _stable_entries(layout: PromptLayout) -> tuple[FactEntry, ...]:
    """Return the facts of the stable part with the fields that determine its text."""
    prefixes = {s.result.source.prefix: s.name for s in layout.summaries.values()}
    return tuple(
        FactEntry(
            ref=ref,
            source=prefixes[ref.rstrip("0123456789")],
            on_topic=False,
            detail=fact.detail,
            tokens=fact.tokens,
            reason="",
            text=fact.text,
            stable=True,
        )
        for ref, fact in layout.stable.facts.items()
    )


def _manifest(
    request: ContextRequest, sources: tuple[SourceEntry, ...], facts: tuple[FactEntry, ...]
) -> Manifest:
    return Manifest(
        question=single_line(request.question, limit=len(request.question)),
        as_of=request.as_of,
        live=request.is_now,
        window=replace(request.window, origin=_name(request.window.origin)),
        scope=first_with_rest([_name(label) for label in request.scope.labels], MAX_LABELS),
        unknown_names=tuple(
            UnknownName(_name(unknown.name), tuple(_name(near) for near in unknown.near))
            for unknown in request.unknown_names[:MAX_UNKNOWN_NAMES]
        ),
        sides=tuple(_side(side) for side in request.sides[:MAX_SIDES]),
        not_used=tuple(_not_used(request)),
        notes=first_with_rest(
            [single_line(note, limit=MAX_NOTE_CHARACTERS) for note in request.notes], MAX_NOTES
        ),
        topics=tuple(sorted(request.topics)),
        token_budget=request.token_budget,
        token_bound=0,
        build_ms=0,
        max_age_s=request.max_age_s,
        sources=sources,
        facts=facts,
        prompt_sha256="",
    )


def _side(side: Side) -> SideEntry:
    labels = first_with_rest([_name(label) for label in side.scope.labels], MAX_SIDE_LABELS)
    return SideEntry(_name(side.label), side.intervals[:MAX_SIDE_INTERVALS], labels)


def _not_used(request: ContextRequest) -> Iterator[NotUsed]:
    """Yield the first MAX_NOT_USED parts; the last of them stands for all the others if there are more."""
    rest = len(request.not_used) - MAX_NOT_USED
    for part in request.not_used[: MAX_NOT_USED - (rest > 0)]:
        text, reason = (single_line(one, limit=MAX_PART_CHARACTERS) for one in (part.text, part.reason))
        yield NotUsed(text, reason)
    if rest > 0:
        yield NotUsed(f"{rest + 1:,} more parts", "too many to name")


def _name(text: str) -> str:
    return single_line(text, limit=MAX_NAME_CHARACTERS)
