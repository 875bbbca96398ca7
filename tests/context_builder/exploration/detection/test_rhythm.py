"""Failures that come and go with a period are told from those that are there all the time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.exploration.detection.rhythm import find_rhythm
from context_builder.exploration.series.signal import Floats

MINUTES = 12 * 60


def failures(share: Floats | float, seed: int, rate: float = 1.5) -> tuple[Floats, Floats]:
    """Draw requests and failed ones by minute."""
    chance = np.random.default_rng(seed)
    requests = chance.poisson(rate, MINUTES)
    return requests.astype(float), chance.binomial(requests, share).astype(float)


@pytest.mark.long
@given(
    period=st.sampled_from([17, 27, 45, 60, 90]), first=st.integers(0, 16), length=st.integers(5, 8),
    start=st.integers(0, 1439), seed=st.integers(0, 10_000),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_the_part_of_a_period_is_found(period: int, first: int, length: int, start: int, seed: int) -> None:
    """Its period, its minutes to within two, and the shares within and outside."""
    phase = (start + np.arange(MINUTES)) % period
    inside = (phase - first) % period < length
    found = find_rhythm(start, *failures(np.where(inside, 0.8, 0.01), seed))
    assert found is not None
    assert found.period == period
    assert abs((found.first - first + period // 2) % period - period // 2) <= 2
    assert abs(found.length - length) <= 4
    assert found.failing > 0.5
    assert found.otherwise < 0.1


@pytest.mark.long
@given(st.floats(0.02, 0.9), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_what_fails_all_the_time_has_no_period(share: float, seed: int) -> None:
    """However many periods and parts of them are tried."""
    assert find_rhythm(0, *failures(share, seed)) is None


def test_too_short_a_time_has_no_period() -> None:
    """Two failures in half an hour are no rhythm, and no requests are none."""
    assert find_rhythm(0, np.ones(30), np.eye(1, 30)[0]) is None
    assert find_rhythm(0, np.zeros(MINUTES), np.zeros(MINUTES)) is None
