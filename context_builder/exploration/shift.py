"""A shift: a metric of a slice that left its usual level at one moment. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from context_builder.exploration.metric import Metric
from context_builder.exploration.slices import Slice

SAME_MOMENT = timedelta(minutes=25)
"""Shifts of one metric that began so close together are one."""
LONG_AFTER = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
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
        """Whether there were no requests at all."""
        return self.metric is Metric.VOLUME and self.counted == 0


def grouped(shifts: Iterable[Shift]) -> list[Shift]:
    """One shift for all that are one event, the clearest of them; the clearest event first.

    One event are shifts of a metric in the same direction that began at the same moment, and those of slices
    that contain each other and overlap in time: a deployment is slow, and so are all requests together.
    """
    events: list[list[Shift]] = []
    for shift in sorted(shifts, key=_clearest):
        same = next((event for event in events if any(_is_same(shift, member) for member in event)), None)
        if same is None:
            events.append([shift])
        else:
            same.append(shift)
    return [replace(lead, also=tuple(member.slice for member in rest)) for lead, *rest in events]


def _clearest(shift: Shift) -> tuple[float, str, tuple[tuple[str, str], ...], datetime]:
    return -shift.evidence, shift.metric, shift.slice.values, shift.onset


def _is_same(shift: Shift, other: Shift) -> bool:
    if shift.metric is not other.metric or shift.rose != other.rose:
        return False
    if shift.earliest - SAME_MOMENT <= other.latest and other.earliest - SAME_MOMENT <= shift.latest:
        return True
    overlap = shift.onset < (other.until or LONG_AFTER) and other.onset < (shift.until or LONG_AFTER)
    return overlap and shift.slice.is_nested_with(other.slice)
