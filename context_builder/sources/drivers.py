"""Drivers of a change: answers "which tier, deployment or router version made it worse, and by how much?".

Columns: for each metric that left its usual level (latency in ms, failed requests in %, requests, cost in US
dollars, quality score), the slices that drive the change with their share of it (%), values before and after
the onset, and sample sizes; before is up to 7 days before the window, and of requests and cost the same hours
of earlier days and weeks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from context_builder.exploration.attribution import Attribution, attribute_change
from context_builder.exploration.breakdown import ComparedSpans
from context_builder.exploration.change_point import MAX_RELATED_ONSET_GAP, ChangePoint, onset_gap
from context_builder.exploration.change_text import (
    ANY_CHANGE,
    describe_change,
    describe_period,
    format_slices,
    is_for_the_worse,
    related_topics,
    scope_name,
    slice_name,
    slice_nouns,
)
from context_builder.exploration.driver_text import (
    figures_text,
    share_text,
    short_text,
    surroundings_text,
)
from context_builder.exploration.exploration import LOOKBACK, ExplorationFindings, with_aftermath
from context_builder.exploration.series.metric import Metric
from context_builder.exploration.series.slices import Slice
from context_builder.exploration.surroundings import surroundings_of
from context_builder.question.request import ContextRequest, Topic, Wording
from context_builder.source import ContextSource, Fact, Headline, Role, Section, Shown, Status, Stores
from context_builder.text.formatting import format_time

MAX_SHIFTS = 5
"""Changes that are attributed to slices, the most relevant first."""
_DRIVER_STEP = 0.08
"""Decrease in importance from one driver of a change to the next."""
_FIRST_IMPORTANCE = 0.96
"""Importance of the first driver of the first change."""
_SHIFT_STEP = 0.05
"""Decrease in importance from one change to the next."""
_ONLY_GAPS = "no requests for some time (see the onsets), explained by no slice; nothing else significant"
_ONLY_TRAFFIC = "only the traffic changed: see changes"
_NO_TRAFFIC = "no requests recorded, so nothing can have changed"


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Return the slices that drive each change, the best description of it first."""
    findings = await stores.exploration.findings(request)
    return replace(await _section(request, stores, findings), gaps=findings.gaps)


async def _section(request: ContextRequest, stores: Stores, findings: ExplorationFindings) -> Section:
    shifts = findings.shifts
    explained = [shift for shift in shifts if not shift.is_gap and shift.retries is None][:MAX_SHIFTS]
    if not explained:
        if shifts:
            return Section(_ONLY_GAPS)
        if not findings.has_traffic:
            return Section(_NO_TRAFFIC, status=Status.EMPTY)
        if findings.harmless:
            return Section(_ONLY_TRAFFIC, applies=False)
        calm = _format_no_change(request)
        return Section(calm, headline=Headline(text=calm, role=Role.CHANGE, alarm=False), applies=False)
    found: list[Attribution] = []
    for shift in explained:
        others = [one for one in found if _is_alike(one.shift, shift) and one.is_main]
        without = [driver.slice for one in others for driver in one.drivers[:1]]
        found += await attribute_change(stores.rollups, with_aftermath(request), shift, LOOKBACK, without)
    found.sort(key=lambda one: (not _is_demand(one, explained[0]), one.shift is not explained[0]))
    beside = [await _beside(one, with_aftermath(request), stores) for one in found]
    facts = [
        fact
        for rank, (one, also) in enumerate(zip(found, beside, strict=True))
        for fact in _facts(
            one,
            also,
            _FIRST_IMPORTANCE - _SHIFT_STEP * min(rank, 6),
            scope_name(request),
            related_topics(one.shift, shifts),
        )
    ]
    changes = "; ".join(f"{describe_change(shift)} {describe_period(shift)}" for shift in explained)
    return Section(f"per change: {changes}", tuple(facts))


def _format_no_change(request: ContextRequest) -> str:
    start = request.window.start - LOOKBACK
    return (
        "nothing significant: latency, errors, volume, cost and quality of every slice unchanged "
        f"since {format_time(start)}"
    )


def _is_demand(one: Attribution, first: ChangePoint) -> bool:
    """Return whether it attributes to a user a rise that began with the first change and may explain it."""
    is_rise = one.shift.metric is Metric.VOLUME and one.shift.rose
    by_user = any(driver.slice.value_of("user") for driver in one.drivers)
    return is_rise and by_user and onset_gap(one.shift, first) <= MAX_RELATED_ONSET_GAP


def _is_alike(one: ChangePoint, other: ChangePoint) -> bool:
    return one.metric is other.metric and one.rose == other.rose


async def _beside(one: Attribution, request: ContextRequest, stores: Stores) -> str:
    """Return what is beside a change, in words; once, of the slice that describes it best."""
    if not one.is_main:
        return ""
    best = one.drivers[0].slice if one.drivers else one.shift.slice
    spans = ComparedSpans.of(one.shift, request, LOOKBACK)
    found = await surroundings_of(stores.rollups, request, one.shift, best, spans)
    return surroundings_text(one.shift.metric, found)


def _facts(
    one: Attribution, beside: str, importance: float, whole: str, topics: frozenset[Topic]
) -> Iterator[Fact]:
    shift = one.shift
    since = f"{describe_change(shift)} {describe_period(shift)}"
    if one.is_main and not one.drivers:
        even = f"{since}: no single slice explains it; {whole}: {figures_text(one, one.everything)}{beside}"
        told = f"{since}: {whole}, {short_text(one, one.everything).partition(', ')[2]}"
        yield Fact(even, "", importance, topics, "drivers", headline=_headline(told, Role.CHANGE, one))
    for rank, driver in enumerate(one.drivers):
        of = f" in {slice_name(one.within, whole)}" if one.within and one.within.values else ""
        head = f"{since}: {slice_name(driver.slice, whole)} {share_text(driver)}{of}"
        # Where requests went is as telling as how many went.
        moved = beside if shift.metric is Metric.VOLUME and not rank else ""
        short = f"{head}; {figures_text(one, driver)}{moved}"
        also = f"; also seen as {format_slices(driver.equivalents, whole, 3)}" if driver.equivalents else ""
        text = f"{short}{one.note}{also}{'' if rank or moved else beside}"
        yield Fact(
            text,
            "" if text == short else short,
            importance - _DRIVER_STEP * rank,
            topics,
            "drivers",
            headline=_headline(
                f"{since}: {slice_name(driver.slice, whole)} {short_text(one, driver)}",
                Role.DRIVER,
                one,
                driver.slice,
            ),
        )


def _headline(text: str, role: Role, one: Attribution, of: Slice | None = None) -> Headline:
    return Headline(
        text=text,
        role=role,
        nouns=slice_nouns(of or one.shift.slice),
        topic=one.shift.metric.topic,
        alarm=is_for_the_worse(one.shift) or None,
        at=one.shift.onset,
    )


source = ContextSource(
    "drivers", "DR", ANY_CHANGE, 4.0, read, asks=frozenset({Wording.TOPICS}), shows_to_confined=Shown.NOTHING
)
