"""Onsets, and what changed near them: answers "when did it begin, and what else happened at that moment?".

Columns: for each metric that left its usual level, since when (UTC, to the minute where the data allow it),
until when, by how much (ms, %, requests, score) and over how many requests; then configuration changes, jobs,
router versions, audited actions, state transitions, incidents and maintenance near an onset, the nearest
first, each with its distance in minutes or hours before or after it. Near in time is not proof of cause.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from context_builder.exploration.change_point import ChangePoint
from context_builder.exploration.change_text import (
    ANY_CHANGE,
    describe_change,
    describe_period,
    format_slices,
    onset_range,
    related_topics,
    scope_name,
    slice_name,
)
from context_builder.exploration.events import AFTER, BEFORE, Event, events_in, spans_around
from context_builder.exploration.exploration import ExplorationFindings
from context_builder.exploration.new_errors import new_errors
from context_builder.exploration.series.metric import Metric
from context_builder.question.request import ContextRequest, Topic
from context_builder.source import ContextSource, Fact, Section, Status, Stores
from context_builder.text.formatting import (
    format_count,
    format_duration,
    format_percent,
    format_ratio,
    format_time,
)

MAX_EVENTS = 12
_ONSET = 0.97
"""Importance of the first onset; below that of what explains itself, such as planned work."""
_EVENT = 0.95
"""Importance of an event at the very onset of the first shift."""
_HALVED_AFTER = timedelta(minutes=90)
"""So far from the onset an event is half as important."""
PARTS = ("router", "gateway")
"""Targets that every request passes."""
REPEATING = ("outage", "state", "log")
BREAKING = ("outage", "log")
_NEAR = 0.8
"""Share of importance of an event on another deployment of the same model or backend as what changed."""
_BESIDE = 0.65
"""The same of an event on something that has nothing in common with what changed."""
_LATE = 0.6
"""Share of importance of an event that came after the onset."""
_FALLING = 0.08
"""By so much less important is each further onset, with the events near it."""


@dataclass(frozen=True, slots=True)
class Coincidence:
    """An event near the onset of a shift."""

    event: Event
    shift: ChangePoint
    rank: int
    """Of the shift, from 0."""
    scope: frozenset[str] = frozenset()
    """Deployments that are asked about."""
    again: int = 0
    """How many more times the same happened near an onset."""

    @property
    def distance(self) -> timedelta:
        """From the span of the onset; negative before it."""
        if self.event.at < self.shift.earliest:
            return self.event.at - self.shift.earliest
        return max(timedelta(0), self.event.at - self.shift.latest)

    @property
    def importance(self) -> float:
        """By nearness, by what was hit, and by kind: changes before symptoms."""
        near = 1 / (1 + abs(self.distance) / _HALVED_AFTER)
        scale = self.event.weight * _concern(self.event, self.shift, self.scope)
        if self.distance > timedelta(0) and self.event.kind != "log":
            scale *= _LATE
        return (_EVENT - _FALLING * self.rank) * near * scale


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Each onset, then the events near one."""
    findings = await stores.exploration.findings(request)
    return replace(await _section(request, stores, findings), gaps=findings.gaps)


async def _section(request: ContextRequest, stores: Stores, findings: ExplorationFindings) -> Section:
    shifts = findings.shifts
    if not shifts:
        if not findings.has_traffic:
            return Section("no requests are known, so that nothing can have changed", status=Status.EMPTY)
        return Section("no onset: no metric of any slice left its usual level")
    onsets = [(shift.earliest, shift.latest) for shift in shifts]
    async with stores.snapshot.session() as session:
        events = await events_in(session, request, spans_around(onsets, request))
        events += await new_errors(session, request, onsets)
    deployments = (label.removeprefix("deployment ") for label in request.scope.labels)
    coincidences = _nearest(events, shifts, frozenset(name for name in deployments if "/" in name))
    facts = [
        *(
            _onset(shift, rank, scope_name(request), related_topics(shift, shifts))
            for rank, shift in enumerate(shifts)
        ),
        *(
            _event(one, _which(one.shift, shifts, scope_name(request)), related_topics(one.shift, shifts))
            for one in coincidences[:MAX_EVENTS]
        ),
    ]
    rest = f" of {len(coincidences)}" if len(coincidences) > MAX_EVENTS else ""
    header = (
        f"{format_count(len(shifts), 'onset')}, the first {format_time(min(shift.onset for shift in shifts))}; "
        f"{min(len(coincidences), MAX_EVENTS)}{rest} events near one; near in time is not proof of cause"
    )
    return Section(header, tuple(sorted(facts, key=lambda fact: -fact.importance)))


def _nearest(
    events: Sequence[Event], shifts: Sequence[ChangePoint], scope: frozenset[str]
) -> list[Coincidence]:
    """Each event once, with the shift it matters to most; the most important first.

    Of the same thing happening again and again to one target the most important is told, with how often.
    """
    found: list[Coincidence] = []
    for event in events:
        near = [
            one
            for rank, shift in enumerate(shifts)
            if -BEFORE <= (one := Coincidence(event, shift, rank, scope)).distance <= AFTER
        ]
        if near:
            found.append(max(near, key=lambda one: (one.importance, -one.rank)))
    found.sort(key=lambda one: (-one.importance, one.event.at, one.event.text))
    told: dict[tuple[str, ...], Coincidence] = {}
    for place, one in enumerate(found):
        repeats = one.event.kind in REPEATING
        key = (one.event.kind, one.event.target) if repeats else (str(place),)
        first = told.setdefault(key, one)
        if first is not one:
            told[key] = replace(first, again=first.again + 1)
    return list(told.values())


def _concern(event: Event, shift: ChangePoint, scope: frozenset[str]) -> float:
    """How much an event has to do with what changed, from 0 to 1, by what it happened to.

    All of it for the gateway as a whole and for a deployment, model or backend of what changed. What broke
    elsewhere sends its requests on, so it matters wherever it broke.
    """
    hit = {value for one in (shift.slice, *shift.also) if (value := one.value_of("deployment"))}
    deployments = frozenset(hit) or scope
    names = {part for deployment in deployments for part in (deployment, *deployment.split("/"))}
    if not deployments or event.target in names or event.target in PARTS or event.kind in BREAKING:
        return 1.0
    return _BESIDE if names.isdisjoint(event.target.split("/")) else _NEAR


def _onset(shift: ChangePoint, rank: int, whole: str, topics: frozenset[Topic]) -> Fact:
    also = f"; also {format_slices(shift.also, whole, 3)}" if shift.also else ""
    what = "NO REQUESTS were recorded" if shift.is_gap else describe_change(shift)
    head = f"{slice_name(shift.slice, whole)}: {what} {describe_period(shift)}"
    return Fact(
        f"{head}{onset_range(shift)}: {_level(shift)}{also}",
        f"{head}: {_level(shift)}",
        _ONSET - _FALLING * rank,
        topics,
        "onsets",
    )


def _level(shift: ChangePoint) -> str:
    """By how much, and over how many requests."""
    if shift.is_gap:
        usual = f"about {round(shift.expected_per_hour):,} per hour are usual"
        return f"{usual}; a gap in the telemetry, or an outage"
    if shift.metric is Metric.LATENCY:
        ratio = format_ratio(shift.after, 1.0)
        return f"{ratio} the usual latency over {format_count(round(shift.counted), 'answered request')}"
    if shift.metric is Metric.ERRORS:
        return (
            f"{_share(shift.after)} of {format_count(round(shift.counted), 'request')} failed, "
            f"{_share(shift.before)} is usual"
        )
    if shift.metric is Metric.QUALITY:
        return (
            f"mean score {shift.after:.2f} over {format_count(round(shift.counted), 'score')}, "
            f"{shift.before:.2f} is usual"
        )
    if shift.metric is Metric.VOLUME and not shift.counted:
        return f"none at all, where about {max(1, round(shift.expected_per_hour)):,} per hour are usual"
    amount = f", {format_count(round(shift.counted), 'request')}" if shift.metric is Metric.VOLUME else ""
    return f"{format_ratio(shift.after, 1.0)} what is usual at that time of day{amount}"


def _share(fraction: float) -> str:
    return format_percent(round(fraction * 1000), 1000)


def _event(one: Coincidence, which: str, topics: frozenset[Topic]) -> Fact:
    again = f", and {format_count(one.again, 'time')} again" if one.again else ""
    text = f"{format_time(one.event.at)}, {_relation(one)} ({which}): {one.event.text}{again}"
    return Fact(text, "", one.importance, topics, "events", one.event.key)


def _relation(one: Coincidence) -> str:
    if not one.distance:
        return "at the onset"
    side = "before" if one.distance < timedelta(0) else "after"
    return f"{format_duration(abs(one.distance))} {side} the onset"


def _which(shift: ChangePoint, shifts: Sequence[ChangePoint], whole: str) -> str:
    """Which onset is meant: its slice, too, where others are told in the same words."""
    what = describe_change(shift)
    alone = sum(describe_change(other) == what for other in shifts) == 1
    return what if alone else f"{slice_name(shift.slice, whole)}: {what}"


source = ContextSource(
    "changes",
    "CH",
    ANY_CHANGE,
    4.0,
    read,
)
