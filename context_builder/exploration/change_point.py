"""Change points: where a metric of a slice left its baseline level, merged into events. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import log

from context_builder.exploration.detection.rhythm import Rhythm
from context_builder.exploration.requests.like_for_like import LikeForLike
from context_builder.exploration.requests.retries import Retries
from context_builder.exploration.series.metric import Metric
from context_builder.exploration.series.slices import Slice

MAX_SAME_ONSET_GAP = timedelta(minutes=25)
"""Change points of one metric whose onsets are this close are one event."""
MAX_RELATED_ONSET_GAP = timedelta(hours=1)
"""Change points of nested slices whose onsets are further apart are different events."""
MIN_GAP_REQUESTS_PER_HOUR = 4.0
"""Baseline rate from which the absence of requests is a gap, not just a fall."""
MIN_EVIDENCE_RATIO = 0.6
"""Fraction of the event's strongest evidence from which a slice may represent it."""
MIN_SIZE_RATIO = 0.9
"""Fraction of the largest change from which the simplest slice is preferred."""
_DONE_BY_ONE = 0.75
"""Of the largest excess of an event: the part of a user whose doing the whole is."""
_MIN_LEVEL = 1e-3
FAR_FUTURE = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePoint:
    """A change of one metric in one slice: when, and by how much."""

    metric: Metric
    slice: Slice
    onset: datetime
    """Most likely time of the change."""
    earliest: datetime
    latest: datetime
    """Bounds of the onset."""
    until: datetime | None
    """When it returned to the baseline; None: not by the end of the window."""
    after: float
    """Level since the onset: failure rate, factor of the baseline latency, requests or dollars over those
    expected, or mean score."""
    before: float
    """Baseline level; 1 where levels are factors."""
    counted: float
    """Requests, dollars or scores since the onset."""
    expected_per_hour: float
    """Baseline requests or dollars per hour at the onset; 0 for other metrics."""
    expected: float
    """Baseline requests or dollars since the onset; 0 for other metrics."""
    exposure: float
    """Expected requests or dollars since the onset per one before it; 1 for other metrics."""
    evidence: float
    level_now: float | None = None
    """Of a change that grows evenly: its level at the end, as `after`; None: it jumped."""
    rhythm: Rhythm | None = None
    """Of failures that come and go with a period."""
    comparable: tuple[tuple[int, float], ...] = ()
    """Of totals: days before at which the same hours are comparable, with weights that add up to 1."""
    mix: LikeForLike | None = None
    """Of latency and cost: whether the same requests changed, or others are sent; None: unknown."""
    retries: Retries | None = None
    """Of a rise of volume that they make."""
    known_as: str = ""
    """Of a change of traffic that people would have known of: why, in words; empty for all others."""
    also: tuple[Slice, ...] = ()
    """Other slices with the same change, by descending evidence."""

    @property
    def rose(self) -> bool:
        """True if the level went up."""
        return self.after > self.before

    @property
    def excess(self) -> float:
        """Return by how much more was counted than before; less is negative."""
        if self.metric.is_total:
            return self.counted - self.expected
        return self.counted * (self.after - self.before)

    @property
    def is_gap(self) -> bool:
        """True if a deployment, or everything, had no requests at all although many are usual."""
        is_whole = all(dimension == "deployment" for dimension, _ in self.slice.values)
        is_busy = self.expected_per_hour >= MIN_GAP_REQUESTS_PER_HOUR
        return self.metric is Metric.VOLUME and self.counted == 0 and is_whole and is_busy


def merge_events(shifts: Iterable[ChangePoint]) -> list[ChangePoint]:
    """Merge change points of the same event into one representative each, by descending evidence.

    An event consists of change points of one metric and direction with the same onset, or of nested slices
    that overlap in time: a deployment is slow, and therefore all requests together are.
    """
    events: list[list[ChangePoint]] = []
    for shift in sorted(shifts, key=_by_evidence):
        same = next((event for event in events if _is_same_event(shift, event[0])), None)
        if same is None:
            events.append([shift])
        else:
            same.append(shift)
    return [_representative(event) for event in events]


def _representative(event: Sequence[ChangePoint]) -> ChangePoint:
    """Return the largest of the clearest changes (of equal ones the simplest), timed by the clearest."""
    first = event[0]
    most = max(abs(shift.excess) for shift in event)
    of_users = [shift for shift in event if shift.metric.is_total and shift.slice.value_of("user")]
    doers = [shift for shift in of_users if abs(shift.excess) >= _DONE_BY_ONE * most]
    clear = doers or [shift for shift in event if shift.evidence >= MIN_EVIDENCE_RATIO * event[0].evidence]
    least = MIN_SIZE_RATIO * max(_magnitude(shift) for shift in clear)
    large = (shift for shift in clear if _magnitude(shift) >= least)
    chosen = min(large, key=lambda shift: len(shift.slice.values))
    also = tuple(shift.slice for shift in event if shift is not chosen)
    return replace(
        chosen,
        onset=first.onset,
        earliest=first.earliest,
        latest=first.latest,
        level_now=chosen.level_now if first.level_now is not None else None,
        evidence=first.evidence,
        also=also,
    )


def _magnitude(shift: ChangePoint) -> float:
    """Return the size of the change, comparable between changes of one metric."""
    if shift.metric in (Metric.ERRORS, Metric.QUALITY):
        return abs(shift.after - shift.before)
    return abs(log(max(shift.after, _MIN_LEVEL) / max(shift.before, _MIN_LEVEL)))


def _by_evidence(shift: ChangePoint) -> tuple[float, str, tuple[tuple[str, str], ...], datetime]:
    return -shift.evidence, shift.metric, shift.slice.values, shift.onset


def _is_same_event(shift: ChangePoint, lead: ChangePoint) -> bool:
    if shift.metric is not lead.metric or shift.rose != lead.rose:
        return False
    if onset_gap(shift, lead) <= MAX_SAME_ONSET_GAP:
        return True
    overlap = shift.onset < (lead.until or FAR_FUTURE) and lead.onset < (shift.until or FAR_FUTURE)
    if not overlap:
        return False
    # A larger slice blurs the onset with its other traffic; a smaller one may be a different event.
    return shift.slice.contains(lead.slice) or (
        lead.slice.contains(shift.slice) and onset_gap(shift, lead) <= MAX_RELATED_ONSET_GAP
    )


def onset_gap(one: ChangePoint, other: ChangePoint) -> timedelta:
    """Return the time between the intervals of two onsets; zero if they overlap."""
    return max(one.earliest - other.latest, other.earliest - one.latest, timedelta(0))
