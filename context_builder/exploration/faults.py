"""Faults: the changes of one target that began together, with what may have caused them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from context_builder.exploration.candidates import SYMPTOMS, NearbyEvent, mentions
from context_builder.exploration.change_point import MAX_SAME_ONSET_GAP, ChangePoint, onset_gap
from context_builder.exploration.events import AFTER, BEFORE, Event
from context_builder.exploration.series.metric import Metric

MAX_CAUSES = 2
"""Candidates on what changed, or on what it depends on; elsewhere one more is told where there are none."""
MIN_SHARE = 0.5
"""Of the importance of the first candidate, which a second must have."""
_SIGNS = ("log", "outage", "state")
"""What shows a fault, the most telling first; one of each is told."""
_MAX_SIGNS = 2
_MIN_VALUE = 3
"""Characters of a value that is no coincidence."""
_SAME_ACT = timedelta(minutes=1)
"""Events of one target this close together record one act: a job and the audit entry of who started it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is told in one place: a change, those of other metrics with it, causes and signs."""

    change: ChangePoint
    """The most relevant of its changes; the others began with it on the same target."""
    causes: tuple[NearbyEvent, ...]
    """Events before the onset, the likeliest first."""
    signs: tuple[NearbyEvent, ...]
    """Events on what changed that show the fault."""
    demand: ChangePoint | None = None
    """A rise of the requests of a related slice that began about then: a cause that nobody recorded."""


def faults_of(shifts: Sequence[ChangePoint], events: Sequence[Event], scope: frozenset[str]) -> list[Fault]:
    """Group changes into faults, in the order of their most relevant changes.

    `scope` are the names of the deployments asked about.
    """
    leads: list[ChangePoint] = []
    for shift in shifts:
        if not any(_is_same_fault(lead, shift) for lead in leads):
            leads.append(shift)
    faults = []
    for first in leads:
        near = [_near(event, first, scope) for event in events]
        causes, signs = _causes(near, _targets(leads, first)), _signs(near)
        faults.append(Fault(first, causes, signs, _demand(first, shifts)))
    return faults


def _is_same_fault(one: ChangePoint, other: ChangePoint) -> bool:
    """Return whether both began together on one deployment, or in one slice."""
    deployment = one.slice.value_of("deployment")
    is_one = deployment == other.slice.value_of("deployment") if deployment else one.slice == other.slice
    return is_one and onset_gap(one, other) <= MAX_SAME_ONSET_GAP


def _demand(first: ChangePoint, shifts: Sequence[ChangePoint]) -> ChangePoint | None:
    """Return the first rise of requests, no retries, that may have overloaded what fails or is slow."""
    if first.metric not in (Metric.ERRORS, Metric.LATENCY) or not first.rose:
        return None
    rises = (one for one in shifts if one.metric is Metric.VOLUME and one.rose and not one.retries)
    near = (one for one in rises if onset_gap(one, first) <= MAX_SAME_ONSET_GAP)
    return next((one for one in near if _is_nested(one, first)), None)


def _is_nested(one: ChangePoint, other: ChangePoint) -> bool:
    return any(part.contains(other.slice) or other.slice.contains(part) for part in (one.slice, *one.also))


def _near(event: Event, shift: ChangePoint, scope: frozenset[str]) -> NearbyEvent:
    return NearbyEvent(event, shift, rank=0, scope=scope)


def _targets(leads: Iterable[ChangePoint], own: ChangePoint) -> frozenset[str]:
    """Return the targets of the other faults: what was done to one of these explains that one first."""
    return frozenset(
        value for one in leads if one.slice != own.slice for _, value in one.slice.values
    ) - frozenset(value for _, value in own.slice.values)


def _causes(near: Sequence[NearbyEvent], others: frozenset[str]) -> tuple[NearbyEvent, ...]:
    """Return the candidates on what changed and what it depends on, else the best one elsewhere."""
    before = [one for one in near if _may_cause(one)]
    logs = [one.event.text for one in near if one.event.kind == "log" and one.is_related]

    def order(one: NearbyEvent) -> tuple[object, ...]:
        is_elsewhere = one.event.target in others
        return is_elsewhere, not _is_logged(one.event, logs), -one.importance, one.event.sort_key

    before.sort(key=order)
    before = list(_single_acts(before))
    related = [one for one in before if one.is_related]
    likely = [one for one in related if one.importance >= MIN_SHARE * related[0].importance]
    return tuple(likely[:MAX_CAUSES] or before[:1])


def _is_logged(event: Event, logs: Sequence[str]) -> bool:
    """Return whether new log lines name the value that was set: `no answer within 1500 ms`."""
    value = getattr(event.row, "new_value", None) or ""
    return len(value) >= _MIN_VALUE and any(mentions(text, value) for text in logs)


def _may_cause(one: NearbyEvent) -> bool:
    """Return whether an event precedes the onset and is no sign.

    An outage elsewhere moves traffic; what people did elsewhere has a row of its own if it changed anything.
    """
    is_cause = one.event.kind not in SYMPTOMS
    if one.event.kind in ("outage", "audit"):
        is_cause = one.is_own == (one.event.kind == "audit")
    return is_cause and -BEFORE <= one.distance <= timedelta(0)


def _single_acts(found: Iterable[NearbyEvent]) -> Iterator[NearbyEvent]:
    told: list[Event] = []
    for one in found:
        event = one.event
        if not any(event.target == e.target and abs(event.at - e.at) <= _SAME_ACT for e in told):
            told.append(event)
            yield one


def _signs(near: Sequence[NearbyEvent]) -> tuple[NearbyEvent, ...]:
    """Return the first event of each telling kind that shows what is wrong with what changed."""
    found: dict[str, NearbyEvent] = {}
    for one in sorted(near, key=lambda one: (not one.is_own, one.event.sort_key)):
        event = one.event
        is_sign = one.is_related if event.kind == "log" else one.is_own and event.is_bad
        if is_sign and -AFTER <= one.distance <= AFTER and event.kind in _SIGNS:
            found.setdefault(event.kind, one)
    ranked = sorted(found.values(), key=lambda one: _SIGNS.index(one.event.kind))
    return tuple(ranked[:_MAX_SIGNS])
