"""Finds the slices that drive a change: values of one dimension, or pairs of two. Pure.

A slice's excess is its mass after the onset minus the mass expected from its own past. Its share is its part
of all positive excess in its dimensions, its size its part of the traffic. The best description of a change
has the most excess in the fewest requests: slices are ranked by share minus size, in the spirit of the
explanatory power and surprise of Adtributor (Bhagwan et al., NSDI 2014, section 4).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np
import numpy.typing as npt

from context_builder.exploration.series.signal import Floats, Noise, SignalLevel
from context_builder.exploration.series.slices import CellMask, Slice

Places = npt.NDArray[np.int64]

MIN_SHARE = 0.15
MIN_CONCENTRATION = 0.12
MIN_EVIDENCE = 12.0
"""About 3.5 standard deviations, since around a hundred slices are compared."""
CONCENTRATION_TOLERANCE = 0.03
"""Slices within this concentration of the best describe a change equally well."""
MIN_PAIR_GAIN = 0.05
"""Concentration that a pair must add to each of its two values alone."""
MAX_DRIVERS = 3
_PRIOR_WEIGHT = 20.0
"""Weight of the overall level in the expected level of a slice (additive smoothing)."""


@dataclass(frozen=True)
class Breakdown:
    """Weight and mass after and before an onset, by cell: one combination of values of all dimensions."""

    values: Mapping[str, Sequence[str]]
    """Each cell's value by dimension; an empty string if it has none."""
    weight: Floats
    mass: Floats
    past_weight: Floats
    past_mass: Floats
    noise: Noise
    exposure: float | None = None
    """For totals: expected mass per past mass. None: masses are fractions of weights."""
    unit: float = 1.0
    """Dollars per mass for cost, whose masses are in units of the mean cost of a request; else 1."""

    def cells_in(self, one: Slice) -> CellMask:
        """Return a mask of the cells in a slice; none if it has a dimension that these cells lack."""
        mask = np.ones(len(self.weight), dtype=np.bool_)
        for dimension, value in one.values:
            names, place = self.places.get(dimension, ([], np.full(len(mask), -1)))
            mask &= place == names.index(value) if value in names else False
        return mask

    @cached_property
    def places(self) -> dict[str, tuple[list[str], Places]]:
        """The values of each dimension in order, and which of them each cell has; -1: none."""
        return {dimension: _in_order(values) for dimension, values in self.values.items()}


@dataclass(frozen=True, slots=True)
class Driver:
    """A slice that accounts for part of a change."""

    slice: Slice
    share: float
    """Fraction of the change, in [0, 1]."""
    size: float
    """Fraction of the traffic that could have changed, in [0, 1]."""
    excess: float
    after: SignalLevel
    before: SignalLevel
    cells: tuple[int, ...]
    """Indices of its cells in the breakdown."""
    equivalents: tuple[Slice, ...] = ()
    """Other single values that describe the change equally well."""

    @property
    def concentration(self) -> float:
        """Share of the change in excess of an even spread."""
        return self.share - self.size

    @property
    def gain(self) -> float:
        """Concentration as a part of what an even spread leaves open."""
        return self.concentration / (1 - self.size) if self.size < 1 else 0.0


def find_drivers(breakdown: Breakdown, *, rose: bool, without: Sequence[Slice] = ()) -> list[Driver]:
    """Return the slices that drive the change, the best description first; none if it is spread evenly.

    Each is found in the cells left by those before it, so that none repeats another; its figures are those of
    its whole slice. Cells in the slices `without`, the drivers of other changes at the same time, are left
    out.
    """
    left = np.ones(len(breakdown.weight), dtype=np.bool_)
    for one in without:
        left &= ~breakdown.cells_in(one)
    drivers: list[Driver] = []
    whole = 0.0
    while len(drivers) < MAX_DRIVERS and left.any():
        best = _best(breakdown, list(_candidates(breakdown, left, rose=rose)))
        if best is None:
            break
        whole = whole or best.excess / best.share
        driver = _whole(breakdown, replace(best, share=min(1.0, best.excess / whole)))
        if driver.share < MIN_SHARE:
            break
        left[list(driver.cells)] = False
        # What is left of a slice may have changed although all of it did not.
        if _evidence(breakdown, driver.after, driver.before) >= MIN_EVIDENCE:
            drivers.append(driver)
    return drivers


def _whole(breakdown: Breakdown, driver: Driver) -> Driver:
    """Return a driver with the figures of its whole slice, those that others have explained too."""
    cells = breakdown.cells_in(driver.slice)
    columns = (breakdown.weight, breakdown.mass, breakdown.past_weight, breakdown.past_mass)
    weight, mass, past_weight, past_mass = (float(column[cells].sum()) for column in columns)
    return replace(
        driver,
        after=SignalLevel(weight, mass),
        before=SignalLevel(past_weight, past_mass),
        cells=tuple(np.flatnonzero(cells).tolist()),
    )


def _candidates(breakdown: Breakdown, left: CellMask, *, rose: bool) -> Iterator[Driver]:
    """Yield every slice of the cells left that describes the change well enough."""
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
    """Return the best description; among equals the simplest, then by order of dimensions."""
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
    return replace(best, equivalents=tuple(other.slice for other in others if len(other.slice.values) == 1))


def _drivers_by(
    breakdown: Breakdown, left: CellMask, names: tuple[str, ...], *, rose: bool
) -> Iterator[Driver]:
    """Yield the slices by one or two dimensions that account for part of the change."""
    values, group = _combined([breakdown.places[name] for name in names])
    if len(values) < 2:  # noqa: PLR2004  a single value cannot differ from the rest
        return
    known = left & (group >= 0)
    sums = [
        np.bincount(group[known], weights=one[known], minlength=len(values)).astype(np.float64, copy=False)
        for one in (breakdown.weight, breakdown.mass, breakdown.past_weight, breakdown.past_mass)
    ]
    excess, size = _excess_and_size(breakdown, *sums)
    signed = excess if rose else -excess
    gained = np.maximum(signed, 0)
    if gained.sum() <= 0:
        return
    share = gained / gained.sum()
    for place in np.flatnonzero((share >= MIN_SHARE) & (share - size >= MIN_CONCENTRATION)).tolist():
        weight, mass, past_weight, past_mass = (float(one[place]) for one in sums)
        after, before = SignalLevel(weight, mass), SignalLevel(past_weight, past_mass)
        if _evidence(breakdown, after, before) >= MIN_EVIDENCE:
            yield Driver(
                Slice(tuple(zip(names, values[place], strict=True))),
                float(share[place]), float(size[place]), float(gained[place]), after, before,
                tuple(np.flatnonzero(known & (group == place)).tolist()),
            )  # fmt: skip


def _in_order(values: Sequence[str]) -> tuple[list[str], Places]:
    names = sorted({*values} - {""})
    places = {name: place for place, name in enumerate(names)}
    return names, np.array([places.get(value, -1) for value in values], dtype=np.int64)


def _combined(dimensions: Sequence[tuple[list[str], Places]]) -> tuple[list[tuple[str, ...]], Places]:
    """Return the combinations that occur, in order, and which of them each cell has; -1: none."""
    names, place = dimensions[0]
    if len(dimensions) == 1:
        return [(name,) for name in names], place
    others, other = dimensions[1]
    both = np.where((place >= 0) & (other >= 0), place * len(others) + other, -1)
    found, group = np.unique(both, return_inverse=True)
    lacking = int(len(found) > 0 and found[0] < 0)
    keys = [divmod(one, len(others)) for one in found[lacking:].tolist()]
    return [(names[one], others[two]) for one, two in keys], group.reshape(-1) - lacking


def _excess_and_size(
    breakdown: Breakdown, weight: Floats, mass: Floats, past_weight: Floats, past_mass: Floats
) -> tuple[Floats, Floats]:
    """Return each slice's mass in excess of that expected from its past, and its size."""
    if breakdown.exposure is not None:
        total = past_mass.sum()
        return mass - past_mass * breakdown.exposure, past_mass / total if total else np.zeros(len(mass))
    whole = breakdown.past_mass.sum() / max(breakdown.past_weight.sum(), 1e-9)
    level = (past_mass + _PRIOR_WEIGHT * whole) / (past_weight + _PRIOR_WEIGHT)
    return mass - weight * level, weight / max(float(weight.sum()), 1e-9)


def _evidence(breakdown: Breakdown, after: SignalLevel, before: SignalLevel) -> float:
    """Return the evidence against the slice's own past, or the overall past if it has none."""
    if breakdown.exposure is not None:
        return breakdown.noise.evidence(
            SignalLevel(breakdown.exposure, after.mass), SignalLevel(1.0, before.mass)
        )
    if not before.weight:
        before = SignalLevel(float(breakdown.past_weight.sum()), float(breakdown.past_mass.sum()))
    return breakdown.noise.evidence(after, before)
