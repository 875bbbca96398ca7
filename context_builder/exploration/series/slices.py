"""Slices of the traffic, and the signals of their metrics. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import product

import numpy as np
import numpy.typing as npt

from context_builder.exploration.series.signal import Distribution, Floats, Noise, Signal
from context_builder.exploration.series.timeline import FINE_SPAN
from context_builder.exploration.series.traffic import Cells

CellMask = npt.NDArray[np.bool_]

MIN_REQUESTS = 40
"""Per slice: with fewer, no change is significant."""
MAX_SLICES = 60
"""The busiest ones."""
_DAY_HOURS = 24
_SMOOTHING = np.array([1.0, 2.0, 1.0]) / 4
_MIN_PROFILE = 0.05
"""Floor of the daily profile, since an hour without past requests may still have one."""
_MIN_HISTORY = timedelta(hours=24)
"""Minimum history before the last day for a daily profile."""


@dataclass(frozen=True, slots=True, order=True)
class Slice:
    """Requests with given values of some dimensions; all requests in scope if there are none."""

    values: tuple[tuple[str, str], ...] = ()
    """Pairs of dimension and value: `("deployment", "gpt-4/aws")`."""

    def value_of(self, dimension: str) -> str | None:
        """Return the value of a dimension; None if the slice is not restricted by it."""
        return dict(self.values).get(dimension)

    def contains(self, other: Slice) -> bool:
        """Return whether this slice has all requests of the other."""
        return set(self.values) <= set(other.values)


def iter_slices(cells: Cells) -> Iterator[tuple[Slice, CellMask]]:
    """Yield all requests, then the busiest values and pairs of values, with masks of their cells."""
    everything = np.ones(len(cells.slot), dtype=np.bool_)
    yield Slice(), everything
    single = {
        dimension: {name: cells.value[dimension] == place for place, name in enumerate(names)}
        for dimension, names in cells.names.items()
    }
    found = [(Slice(((d, name),)), chosen) for d, values in single.items() for name, chosen in values.items()]
    if len(single) == 2:  # noqa: PLR2004  deployment and tier
        (one, ones), (two, others) = single.items()
        found += [(Slice(((one, a), (two, b))), ones[a] & others[b]) for a, b in product(ones, others)]
    counted = [(float(cells.requests[chosen].sum()), one, chosen) for one, chosen in found]
    counted.sort(key=lambda item: (-item[0], item[1].values))
    for requests, part, chosen in counted[:MAX_SLICES]:
        if requests >= MIN_REQUESTS:
            yield part, chosen


def error_signal(cells: Cells, chosen: CellMask) -> Signal:
    """Return failed requests among all."""
    requests, failed = cells.by_slot(cells.requests, chosen), cells.by_slot(cells.failed, chosen)
    return Signal.by_slot(Noise(Distribution.BINOMIAL), requests, failed)


def latency_signal(cells: Cells, chosen: CellMask, usual: Mapping[int, float]) -> Signal:
    """Return log latencies of answered requests relative to each deployment's mean.

    Traffic that moves to a slower deployment is therefore no change of latency.
    """
    levels = np.array([usual[place] for place in range(len(usual))])
    above = cells.log_sum - cells.timed * levels[cells.value["deployment"]]
    noise = Noise(Distribution.GAUSSIAN, _deviation(cells, chosen))
    return Signal.by_slot(noise, cells.by_slot(cells.timed, chosen), cells.by_slot(above, chosen))


def mean_log_latencies(cells: Cells) -> dict[int, float]:
    """Return the mean log latency by deployment."""
    usual = {}
    for place in range(len(cells.names["deployment"])):
        chosen = cells.value["deployment"] == place
        timed = cells.timed[chosen].sum()
        usual[place] = float(cells.log_sum[chosen].sum() / timed) if timed else 0.0
    return usual


def _deviation(cells: Cells, chosen: CellMask) -> float:
    """Return the standard deviation of log latencies within slots, unaffected by changes between slots."""
    timed = cells.timed[chosen]
    several = timed > 1
    counts, sums, squares = (
        timed[several],
        cells.log_sum[chosen][several],
        cells.log_square_sum[chosen][several],
    )
    freedom = float((counts - 1).sum())
    if freedom <= 0:
        return 1.0
    return float(np.sqrt(max(1e-4, (squares - sums**2 / counts).sum() / freedom)))


def volume_signal(cells: Cells, chosen: CellMask, profile: Floats) -> Signal | None:
    """Return requests against those expected at the time of day; None if none are expected."""
    return _against_profile(cells.by_slot(cells.requests, chosen), profile)


def cost_signal(cells: Cells, chosen: CellMask, profile: Floats) -> Signal | None:
    """Return cost, in units of the mean cost of a request, against that expected; None without cost."""
    requests, cost = cells.requests[chosen].sum(), cells.cost_usd[chosen].sum()
    if cost <= 0:
        return None
    return _against_profile(cells.by_slot(cells.cost_usd, chosen) * (requests / cost), profile)


def daily_profile(cells: Cells) -> Floats:
    """Return the expected traffic of each slot, in hours of average traffic.

    Estimated by hour of day from the days before the last one; flat if there is less than a day of them.
    Zero before the first request.
    """
    timeline, requests = cells.timeline, cells.by_slot(cells.requests)
    busy = np.flatnonzero(requests)
    if not len(busy):
        return np.zeros(timeline.slots)
    # The log started within the first slot that has a request.
    first = min(int(busy[0]) + 1, timeline.slots - 1)
    known = timeline.hours.copy()
    known[:first] = 0
    hour_of_day = np.array([start.hour for start in timeline.starts])
    past = np.array([start < timeline.end - FINE_SPAN for start in timeline.starts]) & (known > 0)
    if timeline.starts[first] > timeline.end - FINE_SPAN - _MIN_HISTORY:
        return known
    counted = np.bincount(hour_of_day[past], weights=requests[past], minlength=_DAY_HOURS)
    spent = np.bincount(hour_of_day[past], weights=known[past], minlength=_DAY_HOURS)
    rate = np.where(spent > 0, counted / np.maximum(spent, 1e-9), counted.sum() / max(spent.sum(), 1e-9))
    smooth = np.convolve(np.concatenate([rate[-1:], rate, rate[:1]]), _SMOOTHING, mode="valid")
    shape = smooth / max(float(smooth.mean()), 1e-9)
    profile: Floats = known * np.maximum(shape[hour_of_day], _MIN_PROFILE)
    return profile


def _against_profile(counted: Floats, profile: Floats) -> Signal | None:
    """Return counts against the profile scaled to their total; changes are relative to it."""
    if profile.sum() <= 0:
        return None
    counted = np.where(profile > 0, counted, 0)
    return Signal.by_slot(Noise(Distribution.POISSON), profile * (counted.sum() / profile.sum()), counted)
