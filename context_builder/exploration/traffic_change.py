"""Tells whether the traffic is all that changed, so that nothing is broken. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from context_builder.exploration.change_point import MAX_RELATED_ONSET_GAP, ChangePoint, onset_gap
from context_builder.exploration.requests.like_for_like import MAX_SAME
from context_builder.exploration.series.metric import Metric


def traffic_changes(shifts: Sequence[ChangePoint]) -> list[ChangePoint]:
    """Return the changes of what is sent if nothing else changed for the worse; else none.

    More requests, requests that moved, and others than before are changes of the traffic. Requests that
    stopped may be missing because something is broken, so of them nothing is said.
    """
    found = []
    for shift in shifts:
        if not _is_worse(shift):
            continue
        if not _is_of_the_traffic(shift, shifts):
            return []
        found.append(shift)
    return found


def apart(shifts: Sequence[ChangePoint]) -> tuple[list[ChangePoint], list[ChangePoint]]:
    """Return what has to be explained, and what is known to be nothing but other traffic.

    That is what was to be expected, and responses that take longer since longer ones are asked for; unless
    requests fare worse since then.
    """
    worse = [one for one in shifts if _fares_worse(one, shifts)]

    def is_harmless(shift: ChangePoint) -> bool:
        is_known = bool(shift.known_as) or (
            shift.metric is Metric.LATENCY and shift.rose and _is_of_the_traffic(shift, shifts)
        )
        return is_known and not any(shift.earliest <= one.latest for one in worse)

    harmless = [one for one in shifts if is_harmless(one)]
    return [one for one in shifts if one not in harmless], harmless


def _fares_worse(shift: ChangePoint, shifts: Sequence[ChangePoint]) -> bool:
    """Return whether requests fail, take longer or are answered worse, or none come where many did."""
    is_traffic = shift.metric.is_total and not shift.is_gap
    return not is_traffic and _is_worse(shift) and not _is_of_the_traffic(shift, shifts)


def _is_worse(shift: ChangePoint) -> bool:
    """Return whether a change needs an explanation: all do but improvements."""
    if shift.metric is Metric.QUALITY:
        return not shift.rose
    return shift.rose or shift.metric is Metric.VOLUME


def _is_of_the_traffic(shift: ChangePoint, shifts: Sequence[ChangePoint]) -> bool:
    if shift.metric is Metric.LATENCY:
        return shift.mix is not None and shift.mix.same <= MAX_SAME
    if shift.metric is Metric.COST:
        return shift.mix is not None and shift.mix.same <= MAX_SAME
    if shift.metric is Metric.VOLUME:
        is_known = shift.rose or bool(shift.known_as)
        return not shift.retries and (is_known or _has_moved(shift, shifts))
    return False


def _has_moved(fall: ChangePoint, shifts: Sequence[ChangePoint]) -> bool:
    """Return whether others got more requests when these got fewer."""
    return not fall.is_gap and any(
        one.metric is Metric.VOLUME and one.rose and onset_gap(one, fall) <= MAX_RELATED_ONSET_GAP
        for one in shifts
    )
