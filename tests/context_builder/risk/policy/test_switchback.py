"""Switchback tests: A against A differs as rarely as it says, and a real difference is found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from statistics import fmean

import pytest

from context_builder.risk.chaos.comparison import chance
from context_builder.risk.policy.arms import (
    MIN_PAIRS,
    Arm,
    SwitchbackBlock,
    SwitchbackUnusable,
    arm_at,
    declared_blocks,
)
from context_builder.risk.policy.switchback import estimate_effect, false_positive_share, pairs_needed

START = datetime(2026, 11, 20, tzinfo=UTC)
BLOCK = timedelta(minutes=10)


def declared(hours: int) -> tuple[SwitchbackBlock, ...]:
    return declared_blocks(START, START + timedelta(hours=hours), block=BLOCK)


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
    shares = [
        false_positive_share(chance(seed), declared(60), drifting(chance(100 + seed), 60), draws=300)
        for seed in range(8)
    ]
    share = fmean(shares)
    assert 0.02 <= share <= 0.085


def test_a_real_difference_is_found_with_its_size() -> None:
    """The interval of 95 % holds the truth and excludes none."""
    blocks = declared(34)
    in_b = [(each.start, each.end) for each in blocks if each.arm is Arm.B]
    values = [
        (moment, value + 200 * any(start <= moment < end for start, end in in_b))
        for moment, value in drifting(chance(2), 34)
    ]
    effect = estimate_effect(blocks, values)
    assert effect.differs
    assert effect.low < 200 < effect.high
    assert (effect.pairs, effect.dropped) == (102, 0)


def test_each_pair_of_neighbours_holds_both_arms() -> None:
    """In random order, without gaps, the same for all who look, at whatever moment of a block."""
    blocks = declared(200)
    assert {(one.arm, two.arm) for one, two in zip(blocks[::2], blocks[1::2], strict=True)} == {
        (Arm.A, Arm.B),
        (Arm.B, Arm.A),
    }
    assert all(one.end == two.start for one, two in pairwise(blocks))
    assert all(arm_at(each.start + BLOCK * part, BLOCK) is each.arm for each in blocks for part in (0.1, 0.9))
    assert 200 < sum(each.arm is Arm.A for each in blocks[::2]) < 400


@pytest.mark.parametrize(
    "late", [timedelta(0), timedelta(seconds=1), BLOCK, 2 * BLOCK - timedelta(seconds=1)]
)
def test_only_whole_pairs_within_the_span_count(late: timedelta) -> None:
    """A pair that began before the span, or ends after it, is none of it."""
    end = START + timedelta(hours=5)
    blocks = declared_blocks(START + late, end, block=BLOCK)
    assert blocks[0].start >= START + late
    assert blocks[0].start - START - late < 2 * BLOCK
    assert blocks[-1].end <= end
    assert len(blocks) % 2 == 0


def test_blocks_without_enough_values_drop_their_pair() -> None:
    """Gaps, values that are not finite and those outside the test count for nothing."""
    blocks = declared(4)
    values = drifting(chance(2), 4)
    gap = [(moment, float("nan") if moment < START + 2 * BLOCK else value) for moment, value in values]
    effect = estimate_effect(blocks, [(START - BLOCK, 1e9), *gap])
    assert (effect.pairs, effect.dropped) == (11, 1)
    with pytest.raises(SwitchbackUnusable, match=f"{MIN_PAIRS} are needed"):
        estimate_effect(blocks, values[:60])


def test_a_larger_effect_needs_fewer_pairs() -> None:
    """A quarter of the pairs for twice the effect, or nearly, and what is no number is refused."""
    assert pairs_needed(100.0, 50.0) == 34
    assert pairs_needed(100.0, 25.0) == pytest.approx(4 * 34, rel=0.1)
    for spread, effect in ((0.0, 1.0), (1.0, -1.0), (float("nan"), 1.0), (1.0, 1e-9)):
        with pytest.raises(SwitchbackUnusable):
            pairs_needed(spread, effect)


@pytest.mark.parametrize("block", [timedelta(0), -BLOCK, timedelta(hours=10), timedelta(microseconds=1)])
def test_a_plan_without_blocks_is_refused(block: timedelta) -> None:
    """The message says what is accepted."""
    with pytest.raises(SwitchbackUnusable, match=r"must last|pairs of blocks of"):
        declared_blocks(START, START + timedelta(hours=24), block=block)
