"""The slices of traffic whose metrics are looked at one by one, as signals. Pure."""

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
"""Of a slice: in fewer nothing can be told from chance."""
MAX_SLICES = 60
"""The busiest first."""
_DAY_HOURS = 24
_SMOOTHING = np.array([1.0, 2.0, 1.0]) / 4
_MIN_PROFILE = 0.05
"""An hour in which nothing happened in the past may still see a request."""
_MIN_HISTORY = timedelta(hours=24)
"""With less before the last day, the day is taken to be flat."""


@dataclass(frozen=True, slots=True, order=True)
class Slice:
    """Requests that agree in these dimensions; all requests in scope where there are none."""

    values: tuple[tuple[str, str], ...] = ()
    """Dimension and value: `("deployment", "gpt-4/aws")`."""

    def value_of(self, dimension: str) -> str | None:
        """The value in a dimension, if the slice is restricted in it."""
        return dict(self.values).get(dimension)

    def contains(self, other: Slice) -> bool:
        """Whether all requests of the other are in this one."""
        return set(self.values) <= set(other.values)


def iter_slices(cells: Cells) -> Iterator[tuple[Slice, CellMask]]:
    """All requests, then each value of each dimension, then pairs; the busiest slices only."""
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
    """Failed requests among all."""
    requests, failed = cells.by_slot(cells.requests, chosen), cells.by_slot(cells.failed, chosen)
    return Signal.by_slot(Noise(Distribution.BINOMIAL), requests, failed)


def latency_signal(cells: Cells, chosen: CellMask, usual: Mapping[int, float]) -> Signal:
    """Log latencies of answered requests, above the usual one of each deployment.

    So a shift of traffic to a slower deployment is not taken for slowness.
    """
    levels = np.array([usual[place] for place in range(len(usual))])
    above = cells.log_sum - cells.timed * levels[cells.value["deployment"]]
    noise = Noise(Distribution.GAUSSIAN, _deviation(cells, chosen))
    return Signal.by_slot(noise, cells.by_slot(cells.timed, chosen), cells.by_slot(above, chosen))


def mean_log_latencies(cells: Cells) -> dict[int, float]:
    """Mean log latency by deployment."""
    usual = {}
    for place in range(len(cells.names["deployment"])):
        chosen = cells.value["deployment"] == place
        timed = cells.timed[chosen].sum()
        usual[place] = float(cells.log_sum[chosen].sum() / timed) if timed else 0.0
    return usual


def _deviation(cells: Cells, chosen: CellMask) -> float:
    """Standard deviation of log latencies within slots, which no change from slot to slot enters."""
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
    """Requests against those expected at that time of day; None where nothing is expected."""
    return _against_profile(cells.by_slot(cells.requests, chosen), profile)


def cost_signal(cells: Cells, chosen: CellMask, profile: Floats) -> Signal | None:
    """Cost in units of the mean cost of a request, against the expected."""
    requests, cost = cells.requests[chosen].sum(), cells.cost_usd[chosen].sum()
    if cost <= 0:
        return None
    return _against_profile(cells.by_slot(cells.cost_usd, chosen) * (requests / cost), profile)


def daily_profile(cells: Cells) -> Floats:
    """How busy each slot is expected to be, as a multiple of an average one of its length.

    From the requests of whole days before the last one; flat where there is less than a day of them.
    Slots before the first request are expected to be empty.
    """
    timeline, requests = cells.timeline, cells.by_slot(cells.requests)
    busy = np.flatnonzero(requests)
    if not len(busy):
        return np.zeros(timeline.slots)
    # The log began some time in the first slot that has a request.
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
    """Expected is the profile times the mean rate, which shifts are compared with relative to each other."""
    if profile.sum() <= 0:
        return None
    counted = np.where(profile > 0, counted, 0)
    return Signal.by_slot(Noise(Distribution.POISSON), profile * (counted.sum() / profile.sum()), counted)
