"""A shift: a metric of a slice that left its usual level at one moment. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import log

from context_builder.exploration.series.metric import Metric
from context_builder.exploration.series.slices import Slice

MAX_SAME_ONSET_GAP = timedelta(minutes=25)
"""Shifts of one metric that began so close together are one."""
MAX_RELATED_ONSET_GAP = timedelta(hours=1)
"""Within what changed as a whole, a part that began so much earlier or later is another event."""
MIN_GAP_REQUESTS_PER_HOUR = 4.0
"""Where fewer requests are usual, silence is told like any other change."""
MIN_EVIDENCE_RATIO = 0.6
"""A slice with so much of the evidence of the clearest may stand for the event."""
MIN_SIZE_RATIO = 0.9
"""Slices that were hit so nearly as hard are told by the simplest of them."""
_MIN_LEVEL = 1e-3
FAR_FUTURE = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePoint:
    """Where a metric changed, when, and by how much."""

    metric: Metric
    slice: Slice
    onset: datetime
    """When it most probably began."""
    earliest: datetime
    latest: datetime
    """The span in which it may have begun."""
    until: datetime | None
    """When it was back at its usual level; None: not by the end of the window."""
    after: float
    """Level since the onset: a share of failed requests, a factor of the usual latency, requests or dollars
    over those expected, or a mean score."""
    before: float
    """The usual level; 1 where levels are factors."""
    counted: float
    """Requests, dollars or scores since the onset."""
    expected_per_hour: float
    """Requests or dollars that are usual at the time of the onset; 0 of other metrics."""
    exposure: float
    """Requests or dollars to expect since the onset for each one before it; 1 of other metrics."""
    evidence: float
    also: tuple[Slice, ...] = ()
    """Other slices in which the same began at the same time, the clearest first."""

    @property
    def rose(self) -> bool:
        """Whether the level went up."""
        return self.after > self.before

    @property
    def is_gap(self) -> bool:
        """Whether there were no requests at all where many are usual: of a deployment, or of everything."""
        is_whole = all(dimension == "deployment" for dimension, _ in self.slice.values)
        is_busy = self.expected_per_hour >= MIN_GAP_REQUESTS_PER_HOUR
        return self.metric is Metric.VOLUME and self.counted == 0 and is_whole and is_busy


def merge_events(shifts: Iterable[ChangePoint]) -> list[ChangePoint]:
    """One shift for all that are one event, the clearest of them; the clearest event first.

    One event are shifts of a metric in the same direction that began at the same moment, and those of slices
    that contain what the event hit and overlap it in time: a deployment is slow, and so are all requests
    together.
    """
    events: list[list[ChangePoint]] = []
    for shift in sorted(shifts, key=_by_evidence):
        same = next((event for event in events if _is_same_event(shift, event)), None)
        if same is None:
            events.append([shift])
        else:
            same.append(shift)
    return [_representative(event) for event in events]


def _representative(event: Sequence[ChangePoint]) -> ChangePoint:
    """The event as its most telling shift: of those nearly as clear as the clearest, where it hit hardest."""
    clear = [shift for shift in event if shift.evidence >= MIN_EVIDENCE_RATIO * event[0].evidence]
    hard = MIN_SIZE_RATIO * max(_magnitude(shift) for shift in clear)
    told = min(
        (shift for shift in clear if _magnitude(shift) >= hard), key=lambda shift: len(shift.slice.values)
    )
    also = tuple(shift.slice for shift in event if shift is not told)
    first = event[0]
    return replace(
        told,
        onset=first.onset,
        earliest=first.earliest,
        latest=first.latest,
        evidence=first.evidence,
        also=also,
    )


def _magnitude(shift: ChangePoint) -> float:
    """How far the level went, on a scale that is the same for all shifts of a metric."""
    if shift.metric in (Metric.ERRORS, Metric.QUALITY):
        return abs(shift.after - shift.before)
    return abs(log(max(shift.after, _MIN_LEVEL) / max(shift.before, _MIN_LEVEL)))


def _by_evidence(shift: ChangePoint) -> tuple[float, str, tuple[tuple[str, str], ...], datetime]:
    return -shift.evidence, shift.metric, shift.slice.values, shift.onset


def _is_same_event(shift: ChangePoint, event: Sequence[ChangePoint]) -> bool:
    lead = event[0]
    if shift.metric is not lead.metric or shift.rose != lead.rose:
        return False
    if onset_gap(shift, lead) <= MAX_SAME_ONSET_GAP:
        return True
    overlap = shift.onset < (lead.until or FAR_FUTURE) and lead.onset < (shift.until or FAR_FUTURE)
    if not overlap:
        return False
    # What contains the event is blurred by what else it contains; what it contains may be another event.
    return shift.slice.contains(lead.slice) or (
        lead.slice.contains(shift.slice) and onset_gap(shift, lead) <= MAX_RELATED_ONSET_GAP
    )


def onset_gap(one: ChangePoint, other: ChangePoint) -> timedelta:
    """Between the spans in which they began; zero where these overlap."""
    return max(one.earliest - other.latest, other.earliest - one.latest, timedelta(0))
