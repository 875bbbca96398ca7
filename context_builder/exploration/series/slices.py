"""Slices of the traffic, and the signals of their metrics. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from context_builder.exploration.series.signal import Distribution, Floats, Noise, Signal
from context_builder.exploration.series.traffic import Cells

CellMask = npt.NDArray[np.bool_]

MIN_REQUESTS = 40
"""Per slice: with fewer, no change is significant."""
MAX_SLICES = 60
"""The busiest ones."""
_PAIRED = ("deployment", "tier")


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
    if set(_PAIRED) <= set(single):
        ones, others = (single[dimension] for dimension in _PAIRED)
        found += [
            (Slice(tuple(zip(_PAIRED, pair, strict=True))), ones[pair[0]] & others[pair[1]])
            for pair in product(ones, others)
        ]
    # A model with one deployment is that deployment: the first name for the same requests is enough.
    distinct = {chosen.tobytes(): (one, chosen) for one, chosen in reversed(found)}
    counted = [(float(cells.requests[chosen].sum()), one, chosen) for one, chosen in distinct.values()]
    counted.sort(key=lambda item: (-item[0], item[1].values))
    for requests, part, chosen in counted[:MAX_SLICES]:
        if requests >= MIN_REQUESTS:
            yield part, chosen


def mask_of(cells: Cells, one: Slice) -> CellMask:
    """Return which cells lie in a slice; all of them if they do not have one of its dimensions."""
    mask = np.ones(len(cells.slot), dtype=np.bool_)
    for dimension, value in one.values:
        if dimension in cells.names:
            names = cells.names[dimension]
            mask &= cells.value[dimension] == (names.index(value) if value in names else -1)
    return mask


def error_signal(cells: Cells, chosen: CellMask) -> Signal:
    """Return failed requests among all."""
    requests, failed = cells.by_slot(cells.requests, chosen), cells.by_slot(cells.failed, chosen)
    return Signal.by_slot(Noise(Distribution.BINOMIAL), requests, failed)


def latency_signal(cells: Cells, chosen: CellMask, usual: Mapping[int, float]) -> Signal:
    """Return log latencies of answered requests relative to each deployment's mean.

    Traffic that moves to a slower deployment is therefore no change of latency.
    """
    above = above_usual(cells, usual)
    noise = Noise(Distribution.GAUSSIAN, _deviation(cells, chosen))
    return Signal.by_slot(noise, cells.by_slot(cells.timed, chosen), cells.by_slot(above, chosen))


def above_usual(cells: Cells, usual: Mapping[int, float]) -> Floats:
    """Return each cell's sum of log latencies above the usual one of its deployment."""
    levels = np.array([usual[place] for place in range(len(usual))])
    above: Floats = cells.log_sum - cells.timed * levels[cells.value["deployment"]]
    return above


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
