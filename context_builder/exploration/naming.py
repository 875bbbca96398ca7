"""Finds the slice that describes a change best, among those of its event. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from context_builder.exploration.change_point import ChangePoint
from context_builder.exploration.drivers import Breakdown, find_drivers
from context_builder.exploration.series.metric import Metric
from context_builder.exploration.series.signal import Distribution, Noise
from context_builder.exploration.series.slices import Slice, above_usual
from context_builder.exploration.series.traffic import Cells

MIN_DESCRIBED = 0.75
"""Share of a change that a slice must account for to give it its name."""


def best_slice(cells: Cells, shift: ChangePoint, usual: Mapping[int, float]) -> Slice:
    """Return the slice with most of a change of a rate in few requests; everything if it is spread evenly.

    The slice of the change itself if neither is clear. `usual` are mean log latencies by deployment.
    """
    drivers = find_drivers(_breakdown(cells, shift, usual), rose=shift.rose)
    if drivers and drivers[0].share >= MIN_DESCRIBED:
        return drivers[0].slice
    return Slice() if Slice() in shift.also else shift.slice


def _breakdown(cells: Cells, shift: ChangePoint, usual: Mapping[int, float]) -> Breakdown:
    timeline = cells.timeline
    first = timeline.slot_of(shift.onset)
    end = timeline.slots if shift.until is None else max(timeline.slot_of(shift.until), first + 1)
    noise, weight, mass = Noise(Distribution.BINOMIAL), cells.requests, cells.failed
    if shift.metric is Metric.LATENCY:
        noise, weight, mass = Noise(Distribution.GAUSSIAN), cells.timed, above_usual(cells, usual)
    places = np.stack([cells.value[dimension] for dimension in cells.names])
    keys, place = np.unique(places, axis=1, return_inverse=True)
    sides = ((cells.slot >= first) & (cells.slot < end), cells.slot < first)
    sums = [
        np.bincount(place.reshape(-1), weights=values * side, minlength=keys.shape[1]).astype(float)
        for side in sides
        for values in (weight, mass)
    ]
    values = {
        dimension: [names[one] for one in keys[row].tolist()]
        for row, (dimension, names) in enumerate(cells.names.items())
    }
    return Breakdown(values, sums[0], sums[1], sums[2], sums[3], noise)
