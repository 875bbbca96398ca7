"""Chooses what the prompt shows: the most useful facts whose token bound fits the budget. Pure.

The best fact of every source comes first, as short as it can be, so that a flood in one source never evicts
what another has to say: those on topic, then the others, each as far as a share of the room goes. All else
follows in the order of its utility, in which to complete a short fact is worth less than it was to show it.
What shows a source's first fact shows its summary line too.

Each step shows one line, short at first, or shows a short one in full, and is taken if it fits; the order in
which they are tried does not depend on the budget. So with a larger budget the first step that is decided
otherwise is one more that is taken. Before them the budget decides on the stable part and on the width of
summary lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from context_builder.prompt.candidates import rank_facts, duplicates_of
from context_builder.prompt.manifest import FactEntry, Manifest, SourceEntry
from context_builder.prompt.render import render
from context_builder.prompt.selection import FactSelector, PromptLayout
from context_builder.prompt.stable_facts import StableFacts, select_stable
from context_builder.prompt.summaries import FIRST_NARROW, WIDTHS, Summary, first_with_rest
from context_builder.prompt.tokens import FRAMING_TOKENS, TokenBound
from context_builder.question.request import ContextRequest, QuestionError, UnknownName
from context_builder.source import SourceResult
from context_builder.text.sanitize import single_line

SUMMARY_SHARE = 0.4
"""Of the budget that the question leaves: what summary lines may take before they are made narrower."""

# What is always shown must stay small.
MAX_NAME_CHARACTERS = 220
MAX_LABELS = 20
MAX_UNKNOWN_NAMES = 10


class BudgetTooSmall(QuestionError):
    """The fixed parts of the prompt alone pass the token budget."""


def pack(request: ContextRequest, readings: Sequence[SourceResult], bound: TokenBound) -> Manifest:
    """The manifest of the best prompt within `request.token_budget`. Raises BudgetTooSmall."""
    choice = select_facts(request, readings, bound)
    packed = _manifest(request, choice.sources(), choice.facts())
    return replace(packed, token_bound=prompt_bound(packed, bound))


def select_facts(request: ContextRequest, readings: Sequence[SourceResult], bound: TokenBound) -> FactSelector:
    """What is taken of all that was read. Raises BudgetTooSmall."""
    candidates = rank_facts(request, readings)
    best = {candidate.source: candidate.utility for candidate in reversed(candidates)}
    ordered = sorted(readings, key=lambda r: (-best.get(r.source.name, 0.0), r.source.name))
    plan = _plan(request, ordered, select_stable(readings, request.token_budget, bound), bound)
    if plan.stable.sources and plan.fixed > request.token_budget:
        plan = _plan(request, ordered, StableFacts(), bound)
    if plan.fixed > request.token_budget:
        raise BudgetTooSmall(
            f"a token budget of {request.token_budget:,} cannot hold the fixed parts of the prompt, "
            f"which need {plan.fixed:,}; give at least {plan.fixed + 200:,}"
        )
    twins = duplicates_of(candidates, plan.stable.stated)
    choice = FactSelector(plan, candidates, twins, request.token_budget - plan.fixed, bound)
    choice.run()
    return choice


def prompt_bound(manifest: Manifest, bound: TokenBound) -> int:
    """Upper bound of the tokens that the API counts for the rendered prompt."""
    prompt = render(manifest)
    return sum(map(bound.of, (prompt.system, prompt.stable, prompt.user))) + FRAMING_TOKENS


def _plan(
    request: ContextRequest, readings: Sequence[SourceResult], stable: StableFacts, bound: TokenBound
) -> PromptLayout:
    """The widest summary lines that leave most of the budget to facts, or at least those always shown."""
    plans = [
        PromptLayout({r.source.name: Summary(r, request.topics, width) for r in readings}, stable, 0)
        for width in WIDTHS
    ]
    base = prompt_bound(_manifest(request, _fixed_sources(plans[0]), _stable_entries(plans[0])), bound)
    room = SUMMARY_SHARE * (request.token_budget - base)
    for wanted, likely in ((plans, True), (plans[FIRST_NARROW:], False)):
        for plan in wanted:
            always, on_topic = _line_tokens(plan, bound)
            if always + likely * on_topic <= room:
                return replace(plan, fixed=base + always)
    return replace(plan, fixed=base + always)


def _line_tokens(plan: PromptLayout, bound: TokenBound) -> tuple[int, int]:
    """What the summary lines cost that are always shown, and those on topic that are if there is room."""
    lines = [summary for name, summary in plan.summaries.items() if name not in plan.stable.sources]
    always = sum(line.most_tokens(bound) for line in lines if not line.is_foldable)
    return always, sum(line.most_tokens(bound) for line in lines if line.is_foldable and line.on_topic)


def _fixed_sources(plan: PromptLayout) -> tuple[SourceEntry, ...]:
    """The stable part's sources, and the others as names."""
    entries = []
    for summary in plan.summaries.values():
        facts = summary.reading.section.facts
        if summary.name in plan.stable.sources:
            entries.append(plan.stable_summary(summary))
        elif summary.is_foldable:
            entries.append(summary.folded(left_out=len(facts)))
    return tuple(entries)


def _stable_entries(plan: PromptLayout) -> tuple[FactEntry, ...]:
    """The stable part's facts as far as they decide its text."""
    prefixes = {s.reading.source.prefix: s.name for s in plan.summaries.values()}
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
        for ref, fact in plan.stable.facts.items()
    )


def _manifest(
    request: ContextRequest, sources: tuple[SourceEntry, ...], facts: tuple[FactEntry, ...]
) -> Manifest:
    return Manifest(
        question=single_line(request.question, limit=len(request.question)),
        as_of=request.as_of,
        live=request.live,
        window=replace(request.window, origin=_name(request.window.origin)),
        scope=first_with_rest(MAX_LABELS, [_name(label) for label in request.scope.labels]),
        unknown_names=tuple(
            UnknownName(_name(unknown.name), tuple(_name(near) for near in unknown.near))
            for unknown in request.unknown_names[:MAX_UNKNOWN_NAMES]
        ),
        topics=tuple(sorted(request.topics)),
        token_budget=request.token_budget,
        token_bound=0,
        build_ms=0,
        sources=sources,
        facts=facts,
        prompt_sha256="",
    )


def _name(text: str) -> str:
    return single_line(text, limit=MAX_NAME_CHARACTERS)
