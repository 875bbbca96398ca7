"""A/B tests of policies by switchback: blocks of time declared beforehand, compared by their means.

Requests of one block share its load and its luck: a test that counts requests as independent finds a
difference between A and A far more often than it says. So each pair of neighbouring blocks holds both arms,
in random order, and the difference within a pair counts once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from random import Random
from statistics import fmean, stdev

from scipy import stats  # type: ignore[import-untyped]

from context_builder.errors import ContextBuilderError

MIN_PAIRS = 6
MIN_VALUES = 5
"""Values that a block needs for a mean."""
WASH_OUT = 0.1
"""Part at the beginning of a block that is left out: requests of the other arm still run."""
_ALPHA = 0.05
_POWER = 0.8
_MAX_PAIRS = 100_000


class SwitchbackUnusable(ContextBuilderError, ValueError):
    """A plan or its result cannot be used; the message says what is accepted."""


class Arm(StrEnum):
    """A policy of the test."""

    A = "A"
    B = "B"


@dataclass(frozen=True, slots=True)
class SwitchbackBlock:
    """A span of time in which one arm is in use."""

    start: datetime
    end: datetime
    arm: Arm


@dataclass(frozen=True, slots=True)
class SwitchbackEffect:
    """The difference B - A of block means, in the unit of the values."""

    difference: float
    low: float
    """Lower end of its 95 % interval."""
    high: float
    pairs: int
    """Pairs of blocks that it was computed from."""
    dropped: int
    """Pairs with too few values."""

    @property
    def differs(self) -> bool:
        """True if the interval excludes no difference."""
        return not self.low <= 0 <= self.high


def plan_blocks(
    random: Random, start: datetime, *, block: timedelta, pairs: int
) -> tuple[SwitchbackBlock, ...]:
    """Declare the blocks of a test, before it begins. Raises SwitchbackUnusable."""
    if block <= timedelta(0) or not MIN_PAIRS <= pairs <= _MAX_PAIRS:
        raise SwitchbackUnusable(
            f"{pairs} pairs of {block} are no plan; blocks must last, and {MIN_PAIRS} to {_MAX_PAIRS} "
            "pairs are needed"
        )
    blocks = []
    for pair in range(pairs):
        arms = [Arm.A, Arm.B]
        random.shuffle(arms)
        for place, arm in enumerate(arms):
            begin = start + (2 * pair + place) * block
            blocks.append(SwitchbackBlock(begin, begin + block, arm))
    return tuple(blocks)


def estimate_effect(
    blocks: Sequence[SwitchbackBlock], values: Iterable[tuple[datetime, float]]
) -> SwitchbackEffect:
    """Return the effect from values with their moments; those that are not finite are left out.

    Raises:
        SwitchbackUnusable: Fewer than MIN_PAIRS pairs of blocks have enough values.
    """
    means = _block_means(blocks, values)
    differences = []
    for place in range(0, len(blocks) - 1, 2):
        by_arm = {blocks[place + one].arm: means[place + one] for one in (0, 1)}
        a, b = by_arm[Arm.A], by_arm[Arm.B]
        if a is not None and b is not None:
            differences.append(b - a)
    dropped = len(blocks) // 2 - len(differences)
    if len(differences) < MIN_PAIRS:
        raise SwitchbackUnusable(
            f"{len(differences)} pairs of blocks have at least {MIN_VALUES} values each, {dropped} have not; "
            f"{MIN_PAIRS} are needed"
        )
    mean, spread = fmean(differences), stdev(differences)
    half = float(stats.t.ppf(1 - _ALPHA / 2, len(differences) - 1)) * spread / math.sqrt(len(differences))
    return SwitchbackEffect(mean, mean - half, mean + half, len(differences), dropped)


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
    low, high = MIN_PAIRS, _MAX_PAIRS
    if _power(high, spread, effect) < _POWER:
        raise SwitchbackUnusable(f"an effect of {effect:g} is too small: over {_MAX_PAIRS} pairs are needed")
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _power(middle, spread, effect) >= _POWER else (middle + 1, high)
    return low


def _power(pairs: int, spread: float, effect: float) -> float:
    critical = stats.t.ppf(1 - _ALPHA / 2, pairs - 1)
    return float(stats.nct.sf(critical, pairs - 1, math.sqrt(pairs) * effect / spread))


def false_positive_share(
    random: Random, values: Sequence[tuple[datetime, float]], *, block: timedelta, draws: int
) -> float:
    """Return the share of A/A tests on recorded values that find a difference; 0.05 is right.

    Each draw assigns the arms to the same recording again, so that no difference is real.

    Raises:
        SwitchbackUnusable: The recording is too short for MIN_PAIRS pairs.
    """
    if not values:
        raise SwitchbackUnusable("the recording holds no values")
    start = values[0][0]
    pairs = int((values[-1][0] - start) / (2 * block))
    hits = sum(
        estimate_effect(plan_blocks(random, start, block=block, pairs=pairs), values).differs
        for _ in range(draws)
    )
    return hits / draws
