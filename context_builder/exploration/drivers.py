"""Which values of which dimensions carry a change: single ones and pairs. Pure.

A slice's excess is what it has after the onset beyond what its own past leads to expect. Its share is its
part of all positive excess in its dimension, its size the part that an even spread would give it.
The best description of a change has most of the excess in the fewest requests: slices are ranked by share
minus size, as in the contribution and surprise of Adtributor (Bhagwan et al., NSDI 2014, section 4).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt

from context_builder.exploration.series.signal import Floats, Noise, SignalLevel
from context_builder.exploration.series.slices import CellMask, Slice

MIN_SHARE = 0.15
MIN_CONCENTRATION = 0.12
MIN_EVIDENCE = 12.0
"""About three and a half standard deviations: some hundred slices are compared."""
CONCENTRATION_TOLERANCE = 0.03
"""Concentrations that differ by less describe a change equally well."""
MIN_PAIR_GAIN = 0.05
"""By so much a pair has to describe the change better than each of its two values alone."""
MAX_DRIVERS = 3
_PRIOR_WEIGHT = 20.0
"""Weight of the level of everything in the expectation of a slice with little past."""


@dataclass(frozen=True)
class Breakdown:
    """Weight and mass after and before an onset, by cells that agree in all dimensions."""

    values: Mapping[str, Sequence[str]]
    """Of each dimension, the value of every cell; empty where it has none."""
    weight: Floats
    mass: Floats
    past_weight: Floats
    past_mass: Floats
    noise: Noise
    exposure: float | None = None
    """For totals: mass to expect for each one in the past. None: masses are shares of weights."""
    unit: float = 1.0
    """What a mass of 1 stands for: dollars of cost, where masses are in units of the mean cost."""

    def holds(self, one: Slice) -> CellMask:
        """Which cells are in a slice; none where a dimension of it is not among these."""
        chosen = np.ones(len(self.weight), dtype=np.bool_)
        for dimension, value in one.values:
            chosen &= np.array([known == value for known in self.values.get(dimension, [""] * len(chosen))])
        return chosen


@dataclass(frozen=True, slots=True)
class Driver:
    """A slice that carries part of a change."""

    slice: Slice
    share: float
    """Of the change, in [0, 1]."""
    size: float
    """Of what the change could have hit, in [0, 1]."""
    excess: float
    after: SignalLevel
    before: SignalLevel
    cells: tuple[int, ...]
    """Which cells of the breakdown it is made of."""
    alike: tuple[Slice, ...] = ()
    """Other single values that describe the change about as well."""

    @property
    def concentration(self) -> float:
        """How much more of the change it has than an even spread would give it."""
        return self.share - self.size


def find_drivers(breakdown: Breakdown, *, rose: bool, without: Sequence[Slice] = ()) -> list[Driver]:
    """The slices that carry the change, the best description first; none where it is spread evenly.

    What `without` holds is left out: the slices that carry another change of the same time.

    Each further one is looked for in what those before it leave, so that none is told for another's sake.
    """
    left = np.ones(len(breakdown.weight), dtype=np.bool_)
    for one in without:
        left &= ~breakdown.holds(one)
    chosen: list[Driver] = []
    whole = 0.0
    while len(chosen) < MAX_DRIVERS and left.any():
        best = _best(breakdown, list(_candidates(breakdown, left, rose=rose)))
        if best is None:
            break
        whole = whole or best.excess / best.share
        driver = replace(best, share=min(1.0, best.excess / whole))
        if driver.share < MIN_SHARE:
            break
        chosen.append(driver)
        left[list(driver.cells)] = False
    return chosen


def _candidates(breakdown: Breakdown, left: CellMask, *, rose: bool) -> Iterator[Driver]:
    """Every slice of the cells that are left that describes the change well enough."""
    singles = [
        driver for name in breakdown.values for driver in _drivers_by(breakdown, left, (name,), rose=rose)
    ]
    yield from singles
    best = {driver.slice.values[0]: driver.concentration for driver in singles}
    for pair in combinations(breakdown.values, 2):
        for driver in _drivers_by(breakdown, left, pair, rose=rose):
            alone = max(best.get(value, 0.0) for value in driver.slice.values)
            if driver.concentration >= alone + MIN_PAIR_GAIN:
                yield driver


def _best(breakdown: Breakdown, candidates: Sequence[Driver]) -> Driver | None:
    """The best description; of those that are as good the simplest, then by the order of dimensions."""
    if not candidates:
        return None
    order = list(breakdown.values)
    enough = max(driver.concentration for driver in candidates) - CONCENTRATION_TOLERANCE

    def preference(driver: Driver) -> tuple[int, int, float, Slice]:
        places = [order.index(dimension) for dimension, _ in driver.slice.values]
        return len(places), sum(places), -driver.concentration, driver.slice

    best, *others = sorted(
        (driver for driver in candidates if driver.concentration >= enough), key=preference
    )
    return replace(best, alike=tuple(other.slice for other in others if len(other.slice.values) == 1))


def _drivers_by(
    breakdown: Breakdown, left: CellMask, names: tuple[str, ...], *, rose: bool
) -> Iterator[Driver]:
    """The slices by the values of one or two dimensions that carry a part of the change."""
    keys = list(zip(*(breakdown.values[name] for name in names), strict=True))
    values = sorted({key for key in keys if all(key)})
    if len(values) < 2:  # noqa: PLR2004  a dimension of one value tells nothing
        return
    places = {value: place for place, value in enumerate(values)}
    group = np.where(left, np.array([places.get(key, -1) for key in keys]), -1)
    sums = [
        _group_sums(one, group, len(values))
        for one in (breakdown.weight, breakdown.mass, breakdown.past_weight, breakdown.past_mass)
    ]
    excess, size = _excess_and_size(breakdown, *sums)
    signed = excess if rose else -excess
    gained = np.maximum(signed, 0)
    if gained.sum() <= 0:
        return
    share = gained / gained.sum()
    for place, value in enumerate(values):
        if share[place] < MIN_SHARE or share[place] - size[place] < MIN_CONCENTRATION:
            continue
        weight, mass, past_weight, past_mass = (float(one[place]) for one in sums)
        after, before = SignalLevel(weight, mass), SignalLevel(past_weight, past_mass)
        if _evidence(breakdown, after, before) >= MIN_EVIDENCE:
            yield Driver(
                Slice(tuple(zip(names, value, strict=True))),
                float(share[place]), float(size[place]), float(gained[place]), after, before,
                tuple(int(cell) for cell in np.flatnonzero(group == place)),
            )  # fmt: skip


def _group_sums(values: Floats, group: npt.NDArray[np.int64], count: int) -> Floats:
    known = group >= 0
    return np.bincount(group[known], weights=values[known], minlength=count).astype(float)


def _excess_and_size(
    breakdown: Breakdown, weight: Floats, mass: Floats, past_weight: Floats, past_mass: Floats
) -> tuple[Floats, Floats]:
    """Mass beyond what the past of each slice leads to expect, and the sizes of the slices."""
    if breakdown.exposure is not None:
        total = past_mass.sum()
        return mass - past_mass * breakdown.exposure, past_mass / total if total else np.zeros(len(mass))
    whole = breakdown.past_mass.sum() / max(breakdown.past_weight.sum(), 1e-9)
    level = (past_mass + _PRIOR_WEIGHT * whole) / (past_weight + _PRIOR_WEIGHT)
    return mass - weight * level, weight / max(float(weight.sum()), 1e-9)


def _evidence(breakdown: Breakdown, after: SignalLevel, before: SignalLevel) -> float:
    """Against the slice's own past; against everything's where it has none."""
    if breakdown.exposure is not None:
        return breakdown.noise.evidence(
            SignalLevel(breakdown.exposure, after.mass), SignalLevel(1.0, before.mass)
        )
    if not before.weight:
        before = SignalLevel(float(breakdown.past_weight.sum()), float(breakdown.past_mass.sum()))
    return breakdown.noise.evidence(after, before)
