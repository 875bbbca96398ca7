"""Time series of one metric of one slice, with its noise model. Pure.

Each slot has a weight and a mass: requests and failed requests, requests and the sum of their log latencies,
or expected and actual requests. A level is mass over weight.
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
    """Distribution of a mass around its expectation."""

    BINOMIAL = "binomial"
    GAUSSIAN = "gaussian"
    POISSON = "poisson"


@dataclass(frozen=True, slots=True)
class SignalLevel:
    """Total weight and mass of some slots."""

    weight: float
    mass: float

    @property
    def value(self) -> float:
        """Mass over weight; 0 without weight."""
        return self.mass / self.weight if self.weight else 0.0


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise model of masses, and the significance test that follows from it."""

    law: Distribution
    deviation: float = 1.0
    """Standard deviation per unit of weight, for GAUSSIAN masses."""
    dispersion: float = 1.0
    """Overdispersion: ratio of the variance to that of the distribution; at least 1."""

    def evidence(self, one: SignalLevel, other: SignalLevel) -> float:
        """Return the likelihood ratio statistic of two levels against one: twice the log ratio.

        About the squared number of standard deviations between them.
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
    """Weights and masses by bucket, their noise model, and each bucket's first slot."""

    noise: Noise
    weight: Floats
    mass: Floats
    first_slot: npt.NDArray[np.int64]
    slots: int
    """Number of slots covered by the buckets."""

    @classmethod
    def by_slot(cls, noise: Noise, weight: Floats, mass: Floats) -> Self:
        """Create a signal with one bucket per slot."""
        return cls(noise, weight, mass, np.arange(len(weight)), len(weight))

    def __len__(self) -> int:
        return len(self.weight)

    def level(self, start: int, end: int) -> SignalLevel:
        """Return the level of the buckets [start, end)."""
        return SignalLevel(float(self.weight[start:end].sum()), float(self.mass[start:end].sum()))

    def merged(self, least: float) -> Signal:
        """Merge neighbouring buckets until each has at least this weight."""
        starts, filled = [0], 0.0
        for slot, weight in enumerate(self.weight[:-1].tolist()):
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
        """Return variance-stabilised bucket values, with a variance of about 1 if nothing changes."""
        whole = self.level(0, len(self))
        weight = np.maximum(self.weight, 1e-9)
        if self.noise.law is Distribution.GAUSSIAN:
            return (self.mass / weight - whole.value) * np.sqrt(self.weight) / self.noise.deviation
        if self.noise.law is Distribution.BINOMIAL:
            share = np.clip(self.mass / weight, 0, 1)
            return 2 * np.sqrt(self.weight) * (np.arcsin(np.sqrt(share)) - math.asin(math.sqrt(whole.value)))
        return 2 * (np.sqrt(self.mass + 0.375) - np.sqrt(self.weight * whole.value + 0.375))


def _binomial(level: SignalLevel) -> float:
    """Return the maximum log likelihood."""
    rest = level.weight - level.mass
    return _xlogx(level.mass) + _xlogx(rest) - _xlogx(level.weight)


def _poisson(level: SignalLevel) -> float:
    return level.mass * math.log(level.value) - level.mass if level.mass > 0 else 0.0


def _xlogx(x: float) -> float:
    return x * math.log(x) if x > 0 else 0.0
