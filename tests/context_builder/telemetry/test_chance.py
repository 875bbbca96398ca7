"""A difference is called more than chance only if bursts do not explain it."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.telemetry.chance import MAX_CHANCE, Floats, Ratio, block_length, chance_of

DRAWS = 400
MINUTE, DAY = timedelta(minutes=1), 1_440


class BurstyGateway:
    """Requests that follow the hours of the day, and fail at 1 % and in bursts of up to 10 %."""

    def __init__(self, seed: int) -> None:
        self._chance = np.random.default_rng(seed)

    def minutes(self, number: int, *, factor: float = 1.0, burst: float = 0.1) -> tuple[Floats, Floats]:
        """Give failed requests and all requests by minute; failures `factor` times as likely."""
        load = 60 * (1 + 0.7 * np.sin(2 * np.pi * np.arange(number) / DAY))
        share = np.full(number, 0.01)
        for start in self._chance.integers(-60, number, self._chance.poisson(10 * (number + 60) / DAY)):
            end = start + 1 + int(self._chance.exponential(20))
            share[max(start, 0) : max(end, 0)] += burst * self._chance.random()
        requests = self._chance.poisson(load)
        return self._chance.binomial(requests, np.minimum(share * factor, 1)).astype(float), requests.astype(
            float
        )


def in_blocks(
    one: tuple[Floats, Floats], other: tuple[Floats, Floats], *, paired: bool
) -> tuple[Ratio, Ratio]:
    """Cut both sides into blocks of the length that is used for sides this long."""
    length = block_length(len(one[0]) * MINUTE, len(other[0]) * MINUTE, paired=paired) // MINUTE
    first, second = (
        Ratio(
            *(np.bincount(np.arange(len(values)) // length, weights=values).astype(float) for values in side)
        )
        for side in (one, other)
    )
    return first, second


def p_of(gateway: BurstyGateway, one: int, other: int, *, paired: bool, factor: float = 1.0) -> float:
    sides = gateway.minutes(one, factor=factor), gateway.minutes(other)
    p = chance_of(*in_blocks(*sides, paired=paired), paired=paired).p
    assert p is not None
    return p


def z_test(one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> float:
    """The p of a test that takes every request for independent."""
    (bad, total), (bad2, total2) = ([float(values.sum()) for values in side] for side in (one, other))
    share = (bad + bad2) / (total + total2)
    error = math.sqrt(share * (1 - share) * (1 / total + 1 / total2))
    return math.erfc(abs(bad / total - bad2 / total2) / error / math.sqrt(2))


@pytest.mark.long
@pytest.mark.parametrize(
    ("one", "other", "paired"),
    [
        (DAY, DAY, True),
        (7 * DAY, 7 * DAY, True),
        (360, 360, False),
        (120, 7 * DAY, False),
        (DAY, 7 * DAY, False),
    ],
    ids=["a day and a day", "two weeks", "before and after", "two hours and a week", "a day and a week"],
)
def test_equal_sides_rarely_differ(one: int, other: int, paired: bool) -> None:
    """Of sides of the same bursty process about 5 % differ at p < 0.05, and 1 % by more than chance."""
    gateway = BurstyGateway(7)
    found = np.array([p_of(gateway, one, other, paired=paired) for _ in range(DRAWS)])
    assert (found < 0.05).mean() <= 0.085
    assert (found <= MAX_CHANCE).mean() <= 0.025


def test_counting_requests_would_cry_wolf() -> None:
    """On the same process a test of proportions calls most differences significant."""
    gateway = BurstyGateway(7)
    found = [z_test(gateway.minutes(DAY), gateway.minutes(DAY)) for _ in range(DRAWS)]
    assert np.mean(np.array(found) < 0.05) > 0.4


@pytest.mark.parametrize("paired", [True, False])
def test_a_doubled_share_of_failures_is_found(paired: bool) -> None:
    """Twice the failures over a day are found in most draws, in spite of the bursts."""
    gateway = BurstyGateway(11)
    found = np.array([p_of(gateway, DAY, DAY, paired=paired, factor=2) for _ in range(100)])
    assert (found < 0.05).mean() > 0.5


blocks = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 1_000)), min_size=1, max_size=40)


@given(blocks, blocks, st.booleans())
@settings(deadline=None)
def test_a_test_of_anything_is_a_probability_or_too_little(
    one: list[tuple[int, int]], other: list[tuple[int, int]], paired: bool
) -> None:
    """Whatever the blocks, p lies in (0, 1], is the same again, and equal sides do not differ."""
    if paired:
        one, other = one[: len(other)], other[: len(one)]
    sides = [Ratio(*np.array(side, dtype=float).T) for side in (one, other)]
    found = chance_of(*sides, paired=paired)
    assert found == chance_of(*sides, paired=paired)
    assert found.p is None or 0 < found.p <= 1
    equal = chance_of(sides[0], sides[0], paired=paired)
    assert equal.p is None or equal.p == 1
    assert not equal.is_excluded


def test_few_blocks_are_too_little() -> None:
    """Seven pairs cannot show more than chance, however they differ; eight can."""
    for pairs, told in ((7, "too little data to tell (14 blocks)"), (8, "more than chance (p = 0.008)")):
        all_bad, good = (
            Ratio(np.full(pairs, 9.0), np.full(pairs, 9.0)),
            Ratio(np.zeros(pairs), np.full(pairs, 9.0)),
        )
        assert str(chance_of(all_bad, good, paired=True)) == told
