"""Switchback tests: A against A differs as rarely as it says, and a real difference is found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

import pytest

from context_builder.risk.chaos.comparison import chance
from context_builder.risk.policy.switchback import (
    MIN_PAIRS,
    Arm,
    SwitchbackUnusable,
    estimate_effect,
    false_positive_share,
    pairs_needed,
    plan_blocks,
)

START = datetime(2026, 11, 20, tzinfo=UTC)
BLOCK = timedelta(minutes=10)


def drifting(random: Random, hours: int) -> list[tuple[datetime, float]]:
    """Return a latency a minute that wanders slowly: neighbours are far from independent."""
    level, values = 1000.0, []
    for minute in range(60 * hours):
        level += 0.05 * (1000 - level) + random.gauss(0, 40)
        values.append((START + timedelta(minutes=minute), level + random.gauss(0, 100)))
    return values


@pytest.mark.long
def test_a_against_a_differs_in_five_of_a_hundred_tests() -> None:
    """Although the values of a block resemble each other."""
    share = false_positive_share(chance(1), drifting(chance(2), 60), block=BLOCK, draws=300)
    assert 0.02 <= share <= 0.085


def test_a_real_difference_is_found_with_its_size() -> None:
    """The interval of 95 % holds the truth and excludes none."""
    blocks = plan_blocks(chance(1), START, block=BLOCK, pairs=100)
    in_b = [(each.start, each.end) for each in blocks if each.arm is Arm.B]
    values = [
        (moment, value + 200 * any(start <= moment < end for start, end in in_b))
        for moment, value in drifting(chance(2), 34)
    ]
    effect = estimate_effect(blocks, values)
    assert effect.differs
    assert effect.low < 200 < effect.high
    assert (effect.pairs, effect.dropped) == (100, 0)


def test_each_pair_of_neighbours_holds_both_arms() -> None:
    """In random order, without gaps, the same for the same random source."""
    blocks = plan_blocks(chance(3), START, block=BLOCK, pairs=40)
    assert blocks == plan_blocks(chance(3), START, block=BLOCK, pairs=40)
    assert {(one.arm, two.arm) for one, two in zip(blocks[::2], blocks[1::2], strict=True)} == {
        (Arm.A, Arm.B),
        (Arm.B, Arm.A),
    }
    assert all(one.end == two.start for one, two in pairwise(blocks))


def test_blocks_without_enough_values_drop_their_pair() -> None:
    """Gaps, values that are not finite and those outside the test count for nothing."""
    blocks = plan_blocks(chance(1), START, block=BLOCK, pairs=10)
    values = drifting(chance(2), 4)
    gap = [(moment, float("nan") if moment < START + 2 * BLOCK else value) for moment, value in values]
    effect = estimate_effect(blocks, [(START - BLOCK, 1e9), *gap])
    assert (effect.pairs, effect.dropped) == (9, 1)
    with pytest.raises(SwitchbackUnusable, match=f"{MIN_PAIRS} are needed"):
        estimate_effect(blocks, values[:60])


def test_a_larger_effect_needs_fewer_pairs() -> None:
    """A quarter of the pairs for twice the effect, or nearly, and what is no number is refused."""
    assert pairs_needed(100.0, 50.0) == 34
    assert pairs_needed(100.0, 25.0) == pytest.approx(4 * 34, rel=0.1)
    for spread, effect in ((0.0, 1.0), (1.0, -1.0), (float("nan"), 1.0), (1.0, 1e-9)):
        with pytest.raises(SwitchbackUnusable):
            pairs_needed(spread, effect)


@pytest.mark.parametrize(("block", "pairs"), [(timedelta(0), 10), (-BLOCK, 10), (BLOCK, 5), (BLOCK, 10**9)])
def test_a_plan_without_blocks_is_refused(block: timedelta, pairs: int) -> None:
    """The message says how many are needed."""
    with pytest.raises(SwitchbackUnusable, match="pairs are needed"):
        plan_blocks(chance(1), START, block=block, pairs=pairs)
