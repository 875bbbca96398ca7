"""Finds the slice that describes a change best, among those of its event. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from context_builder.exploration.change_point import ChangePoint
from context_builder.exploration.drivers import Breakdown, find_drivers
from context_builder.exploration.series.metric import Metric
from context_builder.exploration.series.signal import Distribution, Noise
from context_builder.exploration.series.slices import Slice, above_usual
from context_builder.exploration.series.totals import TotalSignals
from context_builder.exploration.series.traffic import Cells
from context_builder.exploration.series.usual import Places

MIN_DESCRIBED = 0.85
"""Share of a change that a slice must account for to give it its name."""
MIN_CONCENTRATED = 0.6
"""Gain below which a change is one of all requests, if these changed too."""


def best_slice(
    shift: ChangePoint, breakdown: Breakdown, beginning: Breakdown, without: Sequence[Slice]
) -> Slice:
    """Return the slice with most of a change in few requests; everything if it is spread evenly.

    Where the whole is not clear, since another change came later, the first half of it may be. `without` are
    the slices of other changes.
    """
    gain = 0.0
    for parts in (breakdown, beginning):
        drivers = find_drivers(parts, rose=shift.rose, without=without)
        if drivers and drivers[0].share >= MIN_DESCRIBED:
            return drivers[0].slice
        gain = max(gain, drivers[0].gain if drivers else 0.0)
    return Slice() if gain < MIN_CONCENTRATED and Slice() in shift.also else shift.slice


def rate_breakdown(
    cells: Cells, metric: Metric, first: int, end: int, usual: Mapping[int, float]
) -> Breakdown:
    """Return failed requests, or log latencies, in slots [first, end) and before.

    `usual` are the mean log latencies by deployment.
    """
    noise, weight, mass = Noise(Distribution.BINOMIAL), cells.requests, cells.failed
    if metric is Metric.LATENCY:
        noise, weight, mass = Noise(Distribution.GAUSSIAN), cells.timed, above_usual(cells, usual)
    keys, place = _combinations(cells)
    sides = ((cells.slot >= first) & (cells.slot < end), cells.slot < first)
    sums = [
        np.bincount(place, weights=values * side, minlength=keys.shape[1]).astype(float)
        for side in sides
        for values in (weight, mass)
    ]
    return Breakdown(_named(cells, keys), sums[0], sums[1], sums[2], sums[3], noise)


def total_breakdown(totals: TotalSignals, metric: Metric, first: float, end: float) -> Breakdown | None:
    """Return requests, or dollars, of some hours and those expected; None without a history."""
    cells = totals.traffic
    values = cells.requests if metric is Metric.VOLUME else cells.cost_usd
    keys, place = _combinations(cells)
    sums = np.zeros((2, keys.shape[1]))
    for number in range(keys.shape[1]):
        chosen = place == number
        counted = totals.counted(cells, chosen, values)
        if counted is None:
            continue
        usual = totals.signal(counted)[1]
        if usual is None:
            return None
        unit = float(values[chosen].sum() / cells.requests[chosen].sum())
        sums[:, number] = [unit * part for part in usual.between(first, end)]
    if metric is Metric.COST and sums.sum() > 0:  # in units of the mean cost of a request
        sums *= float(cells.requests.sum() / values.sum())
    return Breakdown(
        _named(cells, keys), sums[0], sums[0], sums[1], sums[1], Noise(Distribution.POISSON), 1.0
    )


def _combinations(cells: Cells) -> tuple[Places, Places]:
    """Return each combination of values, as places of names by dimension, and that of each cell."""
    places = np.stack([cells.value[dimension] for dimension in cells.names])
    keys, place = np.unique(places, axis=1, return_inverse=True)
    return keys, place.reshape(-1)


def _named(cells: Cells, keys: Places) -> dict[str, list[str]]:
    return {
        dimension: [names[one] for one in keys[row].tolist()]
        for row, (dimension, names) in enumerate(cells.names.items())
    }
