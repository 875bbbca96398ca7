"""One metric of one slice over the timeline, as sums that can be compared. Pure.

Each slot has a weight (what was counted) and a mass (what it amounts to): requests and failed ones, requests
and the sum of their log latencies, expected and counted requests. Levels are mass over weight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Distribution(StrEnum):
    """How the mass varies by chance."""

    BINOMIAL = "binomial"
    GAUSSIAN = "gaussian"
    POISSON = "poisson"


@dataclass(frozen=True, slots=True)
class SignalLevel:
    """Weight and mass of some slots together."""

    weight: float
    mass: float

    @property
    def value(self) -> float:
        """Mass over weight; 0 of nothing."""
        return self.mass / self.weight if self.weight else 0.0


@dataclass(frozen=True, slots=True)
class Noise:
    """How masses vary by chance, and so what is no chance."""

    law: Distribution
    deviation: float = 1.0
    """Standard deviation of one unit of weight; of GAUSSIAN masses only."""
    dispersion: float = 1.0
    """How many times the variance exceeds what the law says; at least 1."""

    def evidence(self, one: SignalLevel, other: SignalLevel) -> float:
        """How much better two levels explain the data than one: twice the log likelihood ratio.

        It is about the square of the number of standard deviations between them.
        """
        if not one.weight or not other.weight:
            return 0.0
        if self.law is Distribution.GAUSSIAN:
            variance = self.deviation**2 * (1 / one.weight + 1 / other.weight)
            return (one.value - other.value) ** 2 / variance / self.dispersion
        together = SignalLevel(one.weight + other.weight, one.mass + other.mass)
        fit = _binomial if self.law is Distribution.BINOMIAL else _poisson
        return max(0.0, 2 * (fit(one) + fit(other) - fit(together))) / self.dispersion


@dataclass(frozen=True)
class Signal:
    """Weights and masses by bucket, how they vary by chance, and where each bucket begins."""

    noise: Noise
    weight: Floats
    mass: Floats
    first_slot: npt.NDArray[np.int64]
    slots: int
    """How many slots the buckets cover together."""

    @classmethod
    def by_slot(cls, noise: Noise, weight: Floats, mass: Floats) -> Self:
        """Each slot is a bucket."""
        return cls(noise, weight, mass, np.arange(len(weight)), len(weight))

    def __len__(self) -> int:
        return len(self.weight)

    def level(self, start: int, end: int) -> SignalLevel:
        """What lies in the buckets [start, end)."""
        return SignalLevel(float(self.weight[start:end].sum()), float(self.mass[start:end].sum()))

    def merged(self, least: float) -> Signal:
        """Neighbours put together until each bucket has this weight, so that all weigh about the same."""
        starts, filled = [0], 0.0
        for slot, weight in enumerate(self.weight[:-1]):
            filled += weight
            if filled >= least:
                starts.append(slot + 1)
                filled = 0.0
        bounds = np.array(starts)
        return replace(
            self,
            weight=np.add.reduceat(self.weight, bounds),
            mass=np.add.reduceat(self.mass, bounds),
            first_slot=self.first_slot[bounds],
        )

    def standardised(self) -> Floats:
        """The buckets as values of equal variance, about 1 where nothing changes."""
        whole = self.level(0, len(self))
        weight = np.maximum(self.weight, 1e-9)
        if self.noise.law is Distribution.GAUSSIAN:
            return (self.mass / weight - whole.value) * np.sqrt(self.weight) / self.noise.deviation
        if self.noise.law is Distribution.BINOMIAL:
            share = np.clip(self.mass / weight, 0, 1)
            return 2 * np.sqrt(self.weight) * (np.arcsin(np.sqrt(share)) - math.asin(math.sqrt(whole.value)))
        return 2 * (np.sqrt(self.mass + 0.375) - np.sqrt(self.weight * whole.value + 0.375))


def _binomial(level: SignalLevel) -> float:
    """Log likelihood at its maximum."""
    rest = level.weight - level.mass
    return _xlogx(level.mass) + _xlogx(rest) - _xlogx(level.weight)


def _poisson(level: SignalLevel) -> float:
    return level.mass * math.log(level.value) - level.mass if level.mass > 0 else 0.0


def _xlogx(x: float) -> float:
    return x * math.log(x) if x > 0 else 0.0
