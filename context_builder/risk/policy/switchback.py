"""The effect that an A/B test by switchback has found: its blocks are compared by their means.

Requests of one block share its load and its luck: a test that counts requests as independent finds a
difference between A and A far more often than it says. So each pair of neighbouring blocks holds both arms,
in random order, and the difference within a pair counts once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from random import Random
from statistics import fmean, stdev

from scipy import stats  # type: ignore[import-untyped]

from context_builder.risk.policy.arms import MAX_PAIRS, MIN_PAIRS, Arm, SwitchbackBlock, SwitchbackUnusable

MIN_VALUES = 5
"""Values that a block needs for a mean."""
WASH_OUT = 0.1
"""Part at the beginning of a block that is left out: requests of the other arm still run."""
_ALPHA = 0.05
_POWER = 0.8


@dataclass(frozen=True, slots=True)
class SwitchbackEffect:
    """The difference B - A of block means, in the unit of the values."""

    difference: float
    low: float
    """Lower end of its 95 % interval."""
    high: float
    spread: float
    """Standard deviation of the difference within a pair."""
    pairs: int
    """Pairs of blocks that it was computed from."""
    dropped: int
    """Pairs with too few values."""

    @property
    def differs(self) -> bool:
        """True if the interval excludes no difference."""
        return not self.low <= 0 <= self.high


def estimate_effect(
    blocks: Sequence[SwitchbackBlock], values: Iterable[tuple[datetime, float]]
) -> SwitchbackEffect:
    """Return the effect from values with their moments; those that are not finite are left out.

    Raises:
        SwitchbackUnusable: Fewer than MIN_PAIRS pairs of blocks have enough values.
    """
    return _effect_of(_differences(blocks, values), len(blocks) // 2)


def _differences(blocks: Sequence[SwitchbackBlock], values: Iterable[tuple[datetime, float]]) -> list[float]:
    """Return B - A of the pairs of blocks that have enough values. Raises SwitchbackUnusable."""
    means = _block_means(blocks, values)
    found = []
    for place in range(0, len(blocks) - 1, 2):
        by_arm = {blocks[place + one].arm: means[place + one] for one in (0, 1)}
        a, b = by_arm[Arm.A], by_arm[Arm.B]
        if a is not None and b is not None:
            found.append(b - a)
    if len(found) < MIN_PAIRS:
        raise SwitchbackUnusable(
            f"{len(found)} pairs of blocks have at least {MIN_VALUES} values each, "
            f"{len(blocks) // 2 - len(found)} have not; {MIN_PAIRS} are needed"
        )
    return found


def _effect_of(differences: Sequence[float], pairs: int) -> SwitchbackEffect:
    mean, spread = fmean(differences), stdev(differences)
    half = _critical(len(differences)) * spread / math.sqrt(len(differences))
    return SwitchbackEffect(
        mean, mean - half, mean + half, spread, len(differences), pairs - len(differences)
    )


def _block_means(
    blocks: Sequence[SwitchbackBlock], values: Iterable[tuple[datetime, float]]
) -> list[float | None]:
    """Return the mean of each block without its beginning; the blocks are alike and adjacent."""
    found: list[list[float]] = [[] for _ in blocks]
    start, length = blocks[0].start, blocks[0].end - blocks[0].start
    for moment, value in values:
        place, within = divmod(moment - start, length)
        if 0 <= place < len(blocks) and within >= WASH_OUT * length and math.isfinite(value):
            found[place].append(value)
    return [fmean(each) if len(each) >= MIN_VALUES else None for each in found]


def pairs_needed(spread: float, effect: float) -> int:
    """Return how many pairs find an effect in 80 % of tests, at 5 % false positives.

    `spread` is the standard deviation of the difference within a pair, in the unit of `effect`.

    Raises:
        SwitchbackUnusable: One of them is no positive number, or more than 100,000 pairs would be needed.
    """
    if not (math.isfinite(spread) and math.isfinite(effect) and spread > 0 and effect > 0):
        raise SwitchbackUnusable(f"spread {spread} and effect {effect} must be positive numbers")
    low, high = MIN_PAIRS, MAX_PAIRS
    if _power(high, spread, effect) < _POWER:
        raise SwitchbackUnusable(f"an effect of {effect:g} is too small: over {MAX_PAIRS} pairs are needed")
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _power(middle, spread, effect) >= _POWER else (middle + 1, high)
    return low


@cache
def _critical(pairs: int) -> float:
    """Return the quantile of Student's t by which intervals are made."""
    return float(stats.t.ppf(1 - _ALPHA / 2, pairs - 1))


def _power(pairs: int, spread: float, effect: float) -> float:
    return float(stats.nct.sf(_critical(pairs), pairs - 1, math.sqrt(pairs) * effect / spread))


def false_positive_share(
    random: Random,
    blocks: Sequence[SwitchbackBlock],
    values: Iterable[tuple[datetime, float]],
    *,
    draws: int = 1_000,
) -> float:
    """Return the share of A/A tests on recorded values that find a difference; 0.05 is right.

    Each draw assigns the arms of every pair again, so that no difference is real.

    Raises:
        SwitchbackUnusable: Fewer than MIN_PAIRS pairs of blocks have enough values.
    """
    differences = _differences(blocks, values)
    drawn = ([each * random.choice((-1, 1)) for each in differences] for _ in range(draws))
    return sum(_effect_of(each, len(each)).differs for each in drawn) / draws
