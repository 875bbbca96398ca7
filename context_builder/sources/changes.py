"""Onsets and nearby events: answers "when did it begin, and what else happened at that time?".

Columns: for each metric that left its usual level, start (UTC, to the minute where the data allow it), end,
size (ms, %, requests, score) and sample size; then configuration changes, jobs, router versions, audited
actions, state transitions, incidents and maintenance near an onset, nearest first, each with its distance in
minutes or hours before or after the onset. Correlation is not causation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from context_builder.exploration.breakdown import ComparedSpans
from context_builder.exploration.candidates import (
    RANK_STEP,
    SYMPTOMS,
    NearbyEvent,
    has_candidate,
    nearby_events,
)
from context_builder.exploration.change_point import MAX_RELATED_ONSET_GAP, ChangePoint, onset_gap
from context_builder.exploration.change_text import (
    ANY_CHANGE,
    describe_change,
    describe_period,
    format_slices,
    harmless_text,
    is_for_the_worse,
    mix_text,
    nothing_broken_text,
    onset_range,
    related_topics,
    retries_text,
    rhythm_text,
    scope_name,
    slice_name,
    slice_nouns,
)
from context_builder.exploration.driver_text import surroundings_text
from context_builder.exploration.events import Event, events_in, spans_around
from context_builder.exploration.exploration import (
    LOOKBACK,
    MAX_CHANGE_POINTS,
    ExplorationFindings,
    with_aftermath,
)
from context_builder.exploration.faults import Fault, faults_of
from context_builder.exploration.new_errors import new_errors
from context_builder.exploration.series.metric import Metric
from context_builder.exploration.surroundings import surroundings_of
from context_builder.exploration.traffic_change import traffic_changes
from context_builder.question.request import ContextRequest, Topic, Wording
from context_builder.source import (
    ContextSource,
    Fact,
    Headline,
    Role,
    Section,
    Shown,
    Status,
    Stores,
    by_importance,
)
from context_builder.text.formatting import (
    format_count,
    format_duration,
    format_percent,
    format_ratio,
    format_time,
)

MAX_EVENTS = 12
_WEEK_DAYS = 7
_NOTHING_BROKEN_IMPORTANCE = 0.7
_HARMLESS_IMPORTANCE = 0.4
_ONSET_IMPORTANCE = 0.97
"""Importance of the first onset; lower than that of self-explanatory facts such as planned work."""

_DIGEST_IMPORTANCE = 1.0
"""Importance of the digest of the first fault."""
_DIGEST_STEP = 0.02
"""Decrease from one fault to the next: a second fault comes before the second fact of the first."""


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Return each onset, then the events near one."""
    findings = await stores.exploration.findings(request)
    return replace(await _section(request, stores, findings), gaps=findings.gaps)


async def _section(request: ContextRequest, stores: Stores, findings: ExplorationFindings) -> Section:
    shifts = findings.shifts
    if not shifts:
        if not findings.has_traffic:
            return Section("no requests recorded, so nothing can have changed", status=Status.EMPTY)
        if findings.harmless:
            return Section("only the traffic changed", (_harmless_fact(findings, scope_name(request)),))
        return Section("no onset: no metric of any slice left its usual level", applies=False)
    onsets = [(shift.earliest, shift.latest) for shift in shifts]
    events = await events_in(stores.rollups, request, spans_around(onsets, request))
    async with stores.snapshot.session() as session:
        events += await new_errors(session, request, onsets)
    deployments = (label.removeprefix("deployment ") for label in request.scope.labels)
    scope = frozenset(name for name in deployments if "/" in name)
    nearby = nearby_events(events, shifts, scope)
    faults = {fault.change: (rank, fault) for rank, fault in enumerate(faults_of(shifts, events, scope))}
    moved = {shift: await _moved(shift, with_aftermath(request), stores) for shift in shifts if shift.is_gap}
    facts = [
        *(
            _with_events(fact, *faults[shift], scope_name(request)) if shift in faults else fact
            for rank, shift in enumerate(shifts)
            for fact in [
                _onset_fact(
                    shift,
                    rank,
                    scope_name(request),
                    related_topics(shift, shifts),
                    _cause_text(has_cause=has_candidate(shift, events, scope)),
                    _order_text(shift, shifts) + moved.get(shift, ""),
                )
            ]
        ),
        *(
            _event_fact(
                one,
                _describe_shift(one.shift, shifts, scope_name(request)),
                related_topics(one.shift, shifts),
                _explained(one.shift, shifts),
            )
            for one in nearby[:MAX_EVENTS]
        ),
    ]
    traffic = traffic_changes(shifts) if len(shifts) < MAX_CHANGE_POINTS else []
    if traffic and not any(one.event.is_bad or one.event.kind in SYMPTOMS for one in nearby):
        facts.append(_nothing_broken_fact(traffic, scope_name(request)))
    if findings.harmless:
        facts.append(_harmless_fact(findings, scope_name(request)))
    rest = f" of {len(nearby)}" if len(nearby) > MAX_EVENTS else ""
    header = (
        f"{format_count(len(shifts), 'onset')}, "
        f"the first {format_time(min(shift.onset for shift in shifts))}; "
        f"{min(len(nearby), MAX_EVENTS)}{rest} events near one; correlation is not causation"
    )
    return Section(header, by_importance(facts))


async def _moved(gap: ChangePoint, request: ContextRequest, stores: Stores) -> str:
    """Return where the requests of a silent slice went, after a semicolon; drivers explain no gaps."""
    spans = ComparedSpans.of(gap, request, LOOKBACK)
    found = await surroundings_of(stores.rollups, request, gap, gap.slice, spans)
    return surroundings_text(gap.metric, found)


def _order_text(shift: ChangePoint, shifts: Sequence[ChangePoint]) -> str:
    """Return which change of another metric of these requests came shortly before, and how long."""
    before = [
        one
        for one in shifts
        if one.metric is not shift.metric
        and one.latest < shift.earliest <= one.latest + MAX_RELATED_ONSET_GAP
        and (one.slice.contains(shift.slice) or shift.slice.contains(one.slice))
    ]
    if not before:
        return ""
    first = min(before, key=lambda one: one.onset)
    return f"; {format_duration(shift.onset - first.onset)} after {describe_change(first)}"


def _cause_text(*, has_cause: bool) -> str:
    return "" if has_cause else "; no change recorded on it or what it depends on in the 6 h before"


def _onset_fact(
    shift: ChangePoint, rank: int, whole: str, topics: frozenset[Topic], cause: str, order: str
) -> Fact:
    also = f"; also {format_slices(shift.also, whole, 2)}" if shift.also else ""
    what = "NO REQUESTS were recorded" if shift.is_gap else describe_change(shift)
    level = f"{_describe_level(shift)}{rhythm_text(shift)}{mix_text(shift)}"
    head = f"{slice_name(shift.slice, whole)}: {what} {describe_period(shift)}"
    return Fact(
        f"{head}{onset_range(shift)}: {level}{order}{cause}{also}",
        f"{head}: {level}",
        _ONSET_IMPORTANCE - RANK_STEP * rank,
        topics,
        "onsets",
        headline=_onset_headline(shift, whole, f"{what} {describe_period(shift)}"),
    )


def _nothing_broken_fact(traffic: Sequence[ChangePoint], whole: str) -> Fact:
    text = nothing_broken_text(traffic, whole)
    headline = Headline(text=text, role=Role.CHANGE, alarm=False, at=traffic[0].onset)
    return Fact(text, "", _NOTHING_BROKEN_IMPORTANCE, ANY_CHANGE, "onsets", headline=headline)


def _harmless_fact(findings: ExplorationFindings, whole: str) -> Fact:
    """Tell in one line where only the traffic changed: nothing is broken, if that is all."""
    what = harmless_text(findings.harmless, whole)
    if findings.shifts:
        text = f"Besides, only the traffic changed: {what}"
        return Fact(text, "", _HARMLESS_IMPORTANCE, ANY_CHANGE, "onsets")
    text = (
        f"Nothing is broken: only the traffic changed: {what}; "
        "no rise of failures and no drop of quality was found, and like requests take what they did"
    )
    headline = Headline(text=text, role=Role.CHANGE, alarm=False, at=findings.harmless[0].onset)
    return Fact(text, "", _ONSET_IMPORTANCE, ANY_CHANGE, "onsets", headline=headline, leads=True)


def _with_events(fact: Fact, rank: int, fault: Fault, whole: str) -> Fact:
    """Make an onset the digest of its fault: candidate causes and first signs with it, told nowhere else."""
    related = [one for one in fault.causes if one.is_related]
    elsewhere = [one for one in fault.causes if not one.is_related]
    demand = ""
    if (more := fault.demand) is not None:
        # Whose requests they are says more than which part of the gateway they reach.
        users = [one for one in more.also if one.value_of("user")]
        also = f", also {format_slices(users, whole, 1)}" if users else ""
        rise = f"{describe_change(more)} {describe_period(more)}, {format_ratio(more.after, 1.0)} normal"
        demand = f"; with it: {slice_name(more.slice, whole)}{also}: {rise}"
    causes = demand + _listed("candidate causes", related, fault)
    causes += _listed("nearest other change", elsewhere, fault)
    first = fault.signs[:1]
    return replace(
        fact,
        text=f"{fact.text}{causes}{_listed('first signs', fault.signs, fault)}",
        short=f"{fact.short}{causes}{_listed('first sign', first, fault)}",
        importance=_DIGEST_IMPORTANCE - _DIGEST_STEP * rank,
        states=frozenset(_event_key(one.event) for one in (*fault.causes, *first)),
        leads=True,
    )


def _listed(title: str, events: Sequence[NearbyEvent], fault: Fault) -> str:
    """Return events after a title and a semicolon; empty if there are none."""
    told = "; ".join(_with_distance(one, fault.change) for one in events)
    return f"; {title}: {told}" if told else ""


def _with_distance(one: NearbyEvent, change: ChangePoint) -> str:
    """Return an event with its time, its distance from the onset, and whose it is."""
    at, onset = one.event.at, change.onset
    side = "earlier" if at < onset else "later"
    if at > onset and not one.distance:
        side = "later, within the range of the onset"
    distance = f"{format_duration(abs(at - onset))} {side}"
    return f"{_clock(at, onset)}, {distance}, {one.whose}: {one.event.text}"


def _clock(at: datetime, onset: datetime) -> str:
    """Return a time, with its day if that is not the day of the onset."""
    return f"{at:%H:%M}" if at.date() == onset.date() else format_time(at)


def _event_key(event: Event) -> str:
    return event.key or f"{event.kind}:{event.target}:{event.at.isoformat()}"


def _onset_headline(shift: ChangePoint, whole: str, what: str) -> Headline:
    """Name a slice too where the change is one of everything that was asked about."""
    inner = [slice_name(one, whole) for one in shift.also if len(one.values) == 1 and not shift.slice.values]
    also = "".join(f", also {name}" for name in [name for name in inner if name not in whole][:1])
    level = _describe_level(shift).partition(" over ")[0]
    return Headline(
        text=f"{slice_name(shift.slice, whole)}{also}: {what}, {level}",
        role=Role.CHANGE,
        nouns=slice_nouns(shift.slice),
        topic=shift.metric.topic,
        alarm=is_for_the_worse(shift) or None,
        at=shift.onset,
    )


def _describe_level(shift: ChangePoint) -> str:
    """Describe the size of a shift, at its end too if it grows, and its sample size."""
    if shift.level_now is None:
        return _describe_mean_level(shift)
    if shift.metric is Metric.LATENCY:
        return f"{_describe_mean_level(shift)} on average, now {format_ratio(shift.level_now, 1.0)}"
    return f"{_describe_mean_level(shift)}; now {_format_share(min(1.0, max(0.0, shift.level_now)))}"


def _describe_mean_level(shift: ChangePoint) -> str:
    if shift.is_gap:
        return (
            f"usually about {round(shift.expected_per_hour):,} per hour; a gap in the telemetry, or an outage"
        )
    if shift.metric is Metric.LATENCY:
        ratio = format_ratio(shift.after, 1.0)
        return f"{ratio} the usual latency over {format_count(round(shift.counted), 'answered request')}"
    if shift.metric is Metric.ERRORS:
        return (
            f"{_format_share(shift.after)} of {format_count(round(shift.counted), 'request')} failed, "
            f"usually {_format_share(shift.before)}"
        )
    if shift.metric is Metric.QUALITY:
        return (
            f"mean score {shift.after:.2f} over {format_count(round(shift.counted), 'score')}, "
            f"usually {shift.before:.2f}"
        )
    return _describe_total(shift)


def _describe_total(shift: ChangePoint) -> str:
    if shift.metric is Metric.VOLUME and not shift.counted:
        return f"none, usually about {max(1, round(shift.expected_per_hour)):,} per hour"
    if shift.retries is not None:
        return retries_text(shift, shift.retries)
    amount = f", {format_count(round(shift.counted), 'request')}" if shift.metric is Metric.VOLUME else ""
    return f"{format_ratio(shift.after, 1.0)} normal{_basis(shift)}{amount}"


def _basis(shift: ChangePoint) -> str:
    """Return what is normal: that hour of the week, that time of day, or all time where little is known."""
    if any(days % _WEEK_DAYS == 0 for days, _ in shift.comparable):
        return f" for that time on a {shift.onset:%A}"
    return " for that time of day" if shift.comparable else " so far (too short a history to call it unusual)"


def _format_share(fraction: float) -> str:
    return format_percent(round(fraction * 1000), 1000)


def _explained(shift: ChangePoint, shifts: Sequence[ChangePoint]) -> ChangePoint:
    """Return the first of the changes that began with a shift: what may have caused it may explain that."""
    return next(one for one in shifts if onset_gap(one, shift) <= MAX_RELATED_ONSET_GAP)


def _event_fact(one: NearbyEvent, which: str, topics: frozenset[Topic], explained: ChangePoint) -> Fact:
    again = f", and {format_count(one.again, 'more time')}" if one.again else ""
    at = one.event.at
    when = f"{format_time(at)}, {_describe_distance(at, one.shift.onset)} ({which}), {one.whose}"
    text = f"{when}: {one.event.text}{again}"
    may_cause = one.distance <= timedelta(0) and at <= explained.latest and one.event.kind not in SYMPTOMS
    # What answers "why" is told beside the change that it may explain, and so is its distance.
    headline = Headline(
        text=f"{one.event.text} ({_clock(at, explained.onset)}, {_describe_distance(at, explained.onset)})",
        role=Role.CAUSE if may_cause else Role.EVENT,
        topic=explained.metric.topic,
        at=at,
    )
    return Fact(text, "", one.importance, topics, "events", _event_key(one.event), headline)


def _describe_distance(at: datetime, onset: datetime) -> str:
    distance = at - onset
    if not distance:
        return "at the onset"
    side = "before" if distance < timedelta(0) else "after"
    return f"{format_duration(abs(distance))} {side} the onset"


def _describe_shift(shift: ChangePoint, shifts: Sequence[ChangePoint], whole: str) -> str:
    """Describe a shift; its slice, too, if another shift reads the same."""
    what = describe_change(shift)
    alone = sum(describe_change(other) == what for other in shifts) == 1
    return what if alone else f"{slice_name(shift.slice, whole)}: {what}"


source = ContextSource(
    "changes", "CH", ANY_CHANGE, 4.0, read, asks=frozenset({Wording.TOPICS}), shows_to_confined=Shown.NOTHING
)
