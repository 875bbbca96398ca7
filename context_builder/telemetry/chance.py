"""Tests whether a ratio of sums, such as failed requests to requests, differs by more than chance.

Requests are not independent: failures come in bursts, so that a test which counts requests finds changes
everywhere. The unit is a block of time instead, as long as possible, so that a burst fits into it. If two
sides do not differ, a block could as well belong to the other one: `p` is the share of random exchanges of
blocks that make a difference as large as the observed one (a permutation test). Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MAX_CHANCE = 0.01
"""Highest p of a difference that is called more than chance."""
MAX_DOUBT = 0.05
"""Highest p of a difference that may be chance; above it is called not more than chance."""
MIN_EXCHANGES = 128
"""Possible exchanges of blocks below which no difference can be more than chance: one is as large."""
_MINUTES = (10_080, 2_880, 1_440, 720, 480, 360, 240, 180, 120, 60, 30, 20, 15, 10, 5, 3, 2, 1)
"""Possible lengths of a block."""
_DRAWS = 1_999
_SEED = 1_729
_TOLERANCE = 1e-9
"""Relative; the same sum in another order is as large."""
_CERTAIN = 0.001


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of sums, by block: the mass of each block, and the weight that it is a fraction of."""

    mass: Floats
    weight: Floats


@dataclass(frozen=True, slots=True)
class Chance:
    """How easily chance makes a difference as large as the observed one."""

    blocks: int
    """Blocks of both sides that have a weight."""
    p: float | None
    """None: too few blocks to tell."""

    @property
    def is_excluded(self) -> bool:
        """Return whether the difference is more than chance."""
        return self.p is not None and self.p <= MAX_CHANCE

    def __str__(self) -> str:
        if self.p is None:
            return f"too little data to tell ({self.blocks} block{'' if self.blocks == 1 else 's'})"
        shown = f"p = {self.p:.3f}" if self.p <= MAX_CHANCE else f"p = {self.p:.2f}"
        if self.is_excluded:
            return f"more than chance ({'p < 0.001' if self.p < _CERTAIN else shown})"
        return f"{'may be chance' if self.p <= MAX_DOUBT else 'not more than chance'} ({shown})"


def block_length(one: timedelta, other: timedelta, *, paired: bool) -> timedelta:
    """Return the longest block by which two sides of these lengths can be compared."""
    for minutes in _MINUTES:
        length = timedelta(minutes=minutes)
        if _exchanges(one // length, other // length, paired=paired) >= MIN_EXCHANGES:
            return length
    return timedelta(minutes=_MINUTES[-1])


def chance_of(one: Ratio, other: Ratio, *, paired: bool) -> Chance:
    """Test the difference of two ratios. Each block of `paired` sides is exchanged for its like only."""
    present = [side.weight > 0 for side in (one, other)]
    if paired:
        present = [present[0] | present[1]] * 2
    blocks = [int(side.sum()) for side in present]
    if _exchanges(*blocks, paired=paired) < MIN_EXCHANGES or not (one.weight.any() and other.weight.any()):
        return Chance(sum(blocks), None)
    mass, weight = (
        [values[there] for values, there in zip(pair, present, strict=True)]
        for pair in ((one.mass, other.mass), (one.weight, other.weight))
    )
    drawn = (
        _swapped(mass, weight)
        if paired
        else _exchanged(np.concatenate(mass), np.concatenate(weight), blocks[0])
    )
    observed = abs(_ratio(mass[0], weight[0]) - _ratio(mass[1], weight[1]))
    as_large = int((np.abs(drawn) >= observed * (1 - _TOLERANCE)).sum())
    return Chance(sum(blocks), (1 + as_large) / (1 + len(drawn)))


def _exchanges(one: int, other: int, *, paired: bool) -> int:
    """Return in how many ways the blocks can be given to the two sides; mirrored pairs count once."""
    return 2 ** max(min(one, other) - 1, 0) if paired else math.comb(one + other, one)


def _ratio(mass: Floats, weight: Floats) -> float:
    return float(mass.sum()) / float(weight.sum())


def _swapped(mass: list[Floats], weight: list[Floats]) -> Floats:
    """Return differences with random pairs swapped.

    A pair's contribution to the difference changes its sign; sides may differ in weight.
    """
    overall = _ratio(np.concatenate(mass), np.concatenate(weight))
    parts = [(m - overall * w) / float(w.sum()) for m, w in zip(mass, weight, strict=True)]
    drawn: Floats = _signs(len(parts[0])) @ (parts[0] - parts[1])
    return drawn


def _exchanged(mass: Floats, weight: Floats, number: int) -> Floats:
    """Return differences with a random `number` of the blocks on the first side."""
    chosen = _choices(len(mass), number)
    here, total = mass[chosen].sum(axis=1), weight[chosen].sum(axis=1)
    drawn: Floats = here / total - (float(mass.sum()) - here) / (float(weight.sum()) - total)
    return drawn


@lru_cache(maxsize=4)
def _signs(pairs: int) -> Floats:
    """Return all signs but the observed ones or, of many, random ones that are the same every time."""
    if 2**pairs <= _DRAWS:
        swapped = np.arange(1, 2**pairs)[:, np.newaxis] >> np.arange(pairs) & 1
        return np.where(swapped, -1.0, 1.0)
    return np.random.default_rng(_SEED).choice(np.array([-1.0, 1.0]), (_DRAWS, pairs))


@lru_cache(maxsize=4)
def _choices(blocks: int, number: int) -> npt.NDArray[np.int64]:
    """Return random choices of some of the blocks; seeded, so that equal data give equal prompts."""
    every = np.tile(np.arange(blocks), (_DRAWS, 1))
    return np.random.default_rng(_SEED).permuted(every, axis=1)[:, :number]
