"""Tells a change once: drops those of slices that are as usual without the requests of a clearer one. Pure.

A change of one slice shows in every slice that shares requests with it, later and smaller the fewer they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from context_builder.exploration.change_point import FAR_FUTURE, ChangePoint
from context_builder.exploration.detection.naming import best_slice, rate_breakdown, total_breakdown
from context_builder.exploration.series.metric import Metric, is_notable
from context_builder.exploration.series.signal import Signal, SignalLevel
from context_builder.exploration.series.slices import (
    CellMask,
    Slice,
    error_signal,
    latency_signal,
    mask_of,
    mean_log_latencies,
)
from context_builder.exploration.series.timeline import HOUR
from context_builder.exploration.series.totals import TotalSignals
from context_builder.exploration.series.traffic import Cells

MIN_REMAINING_DEVIATIONS = 4.0
"""How many standard deviations what is left of a slice must differ to be a change of its own."""
_MIN_WEIGHT = 8.0
"""Requests left on either side of an onset, or nothing can be said of them."""
_EXPLAINED_EXCESS = 1.25
"""Of a user's excess: the most that a slice which also has other requests may have because of it."""


class Remainder:
    """What is left of slices of the traffic without others."""

    def __init__(self, cells: Cells, totals: TotalSignals, found: Sequence[ChangePoint]) -> None:
        """Take the cells of the time explored, and every change found in one of their slices."""
        self._found = found
        self._cells = cells
        self._totals = totals
        self._usual = mean_log_latencies(cells)

    def unexplained(self, shifts: Sequence[ChangePoint]) -> list[ChangePoint]:
        """Return the changes that none before them explains; what it explains is named with it."""
        told: list[ChangePoint] = []
        for shift in shifts:
            leads = [place for place, lead in enumerate(told) if _may_explain(lead, shift)]
            named = self._named(shift, [told[place].slice for place in leads])
            same = [place for place in leads if told[place].slice == named.slice]
            if same or (leads and not self._remains(shift, [told[place] for place in leads])):
                lead = told[(same or leads)[0]]
                told[(same or leads)[0]] = replace(lead, also=(*lead.also, *_unnamed(lead, shift)))
            else:
                told.append(named)
        return told

    def _remains(self, shift: ChangePoint, leads: Sequence[ChangePoint]) -> bool:
        if any(_is_known_by_user(one) for one in (shift, *leads)):
            return abs(shift.excess) > _EXPLAINED_EXCESS * sum(abs(lead.excess) for lead in leads)
        if shift.metric.is_total:
            return self._total_remains(shift, leads)
        left = mask_of(self._cells, shift.slice)
        for lead in leads:
            left &= ~mask_of(self._cells, lead.slice)
        return self._of(shift, left) is not None

    def _named(self, shift: ChangePoint, without: Sequence[Slice]) -> ChangePoint:
        """Return a change of a rate as one of the slice that describes it best."""
        if shift.metric is Metric.QUALITY or _is_known_by_user(shift):
            return shift
        if shift.metric.is_total:
            return self._named_total(shift, without)
        first, end = self._slots_of(shift)
        parts = (
            rate_breakdown(self._cells, shift.metric, first, last, self._usual)
            for last in (end, first + max(1, (end - first) // 2))
        )
        best = best_slice(shift, next(parts), next(parts), [one for one in without if one.values])
        return shift if best == shift.slice else self._as(shift, best) or shift

    def _as(self, shift: ChangePoint, one: Slice) -> ChangePoint | None:
        """Return a change as found in another slice; None if the rate of that did not change."""
        also = (shift.slice, *(each for each in shift.also if each != one))
        found = [each for each in self._found if each.slice == one and _overlap(each, shift)]
        if found:
            return replace(max(found, key=lambda each: each.evidence), also=also)
        same = self._of(shift, mask_of(self._cells, one))
        return None if same is None else replace(same, slice=one, also=also)

    def _named_total(self, shift: ChangePoint, without: Sequence[Slice]) -> ChangePoint:
        span = self._hours_of(shift)
        parts = total_breakdown(self._totals, shift.metric, *span)
        best = shift.slice if parts is None else best_slice(shift, parts, parts, without)
        if parts is None or best == shift.slice or not shift.comparable:
            return shift
        chosen = parts.cells_in(best)
        counted, expected = float(parts.mass[chosen].sum()), float(parts.past_mass[chosen].sum())
        after = counted / expected if expected else 0.0
        if (after > 1) != shift.rose or not is_notable(shift.metric, after, 1.0):
            return shift
        hours = (span[1] - span[0]) or 1.0
        also = (shift.slice, *(one for one in shift.also if one != best))
        return replace(
            shift, slice=best, also=also, after=after, before=1.0, counted=counted, expected=expected,
            expected_per_hour=expected / hours,
        )  # fmt: skip

    def _hours_of(self, shift: ChangePoint) -> tuple[float, float]:
        """Return the span of a change in hours since the start of the history."""
        timeline = self._totals.traffic.timeline
        first, end = shift.onset, shift.until or timeline.end
        return (first - timeline.start) / HOUR, (end - timeline.start) / HOUR

    def _of(self, shift: ChangePoint, chosen: CellMask) -> ChangePoint | None:
        """Return a change of a rate as that of other requests then; None if theirs did not change."""
        signal = (
            error_signal(self._cells, chosen)
            if shift.metric is Metric.ERRORS
            else latency_signal(self._cells, chosen, self._usual)
        )
        away, usual = self._levels(signal, shift)
        if min(away.weight, usual.weight) < _MIN_WEIGHT:
            return None
        after, before = away.value, usual.value
        if shift.metric is Metric.LATENCY:
            after, before = float(np.exp(after - before)), 1.0
        is_same = (after > before) == shift.rose and is_notable(shift.metric, after, before)
        if not is_same or signal.noise.evidence(away, usual) < MIN_REMAINING_DEVIATIONS**2:
            return None
        now = None if shift.level_now is None else after * shift.level_now / shift.after
        return replace(shift, after=after, before=before, counted=away.weight, level_now=now)

    def _levels(self, signal: Signal, shift: ChangePoint) -> tuple[SignalLevel, SignalLevel]:
        first, end = self._slots_of(shift)
        return signal.level(first, end), signal.level(0, first)

    def _slots_of(self, shift: ChangePoint) -> tuple[int, int]:
        timeline = self._cells.timeline
        first = timeline.slot_of(shift.onset)
        end = timeline.slots if shift.until is None else timeline.slot_of(shift.until)
        return first, max(end, first + 1)

    def _total_remains(self, shift: ChangePoint, leads: Sequence[ChangePoint]) -> bool:
        history = self._totals.traffic
        left = mask_of(history, shift.slice)
        for lead in leads:
            left &= ~mask_of(history, lead.slice)
        values = history.requests if shift.metric is Metric.VOLUME else history.cost_usd
        counted = self._totals.counted(history, left, values)
        usual = None if counted is None else self._totals.signal(counted)[1]
        if usual is None:
            return False
        deviations, factor = usual.deviation(*self._hours_of(shift), rose=shift.rose)
        strays = deviations if shift.rose else -deviations
        return strays >= MIN_REMAINING_DEVIATIONS and is_notable(shift.metric, factor, 1.0)


def _may_explain(lead: ChangePoint, shift: ChangePoint) -> bool:
    return lead.metric is not Metric.QUALITY and _overlap(lead, shift)


def _overlap(one: ChangePoint, other: ChangePoint) -> bool:
    """Return whether two changes of one metric go the same way at the same time."""
    if one.metric is not other.metric or one.rose != other.rose:
        return False
    return other.onset < (one.until or FAR_FUTURE) and one.earliest < (other.until or FAR_FUTURE)


def _is_known_by_user(shift: ChangePoint) -> bool:
    """Return whether a slice is one of users, whose requests are not known by other dimensions."""
    return shift.slice.value_of("user") is not None


def _unnamed(lead: ChangePoint, shift: ChangePoint) -> list[Slice]:
    known = {lead.slice, *lead.also}
    return [one for one in (shift.slice, *shift.also) if one not in known]
