"""A level that grows evenly is told from one that jumped, with its beginning as a range."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.exploration.detection.onset import LevelShift
from context_builder.exploration.detection.ramp import find_ramp
from context_builder.exploration.series.signal import Distribution, Floats, Noise, Signal, SignalLevel

SLOTS = 144
"""Of ten minutes: a day."""
HOURS = np.full(SLOTS, 1 / 6)
PER_SLOT = 12.0


def latencies(factor: Floats, seed: int) -> Signal:
    """Return log latencies above the usual ones, of requests that became so many times slower."""
    noise = np.random.default_rng(seed).normal(0, 0.6 / np.sqrt(PER_SLOT), SLOTS)
    weight = np.full(SLOTS, PER_SLOT)
    return Signal.by_slot(Noise(Distribution.GAUSSIAN, 0.6), weight, weight * (np.log(factor) + noise))


def failures(share: Floats, seed: int) -> Signal:
    weight = np.full(SLOTS, 40.0)
    mass = np.random.default_rng(seed).binomial(40, share).astype(float)
    return Signal.by_slot(Noise(Distribution.BINOMIAL), weight, mass)


def shift(signal: Signal, first: int, end: int | None = None) -> LevelShift:
    away = signal.level(first, SLOTS if end is None else end)
    usual = SignalLevel(100.0, 1.0 if signal.noise.law is Distribution.BINOMIAL else 0.0)
    return LevelShift(first, first + 1, end, away, usual, 100.0)


def growing(begin: int, peak: float) -> Floats:
    return 1 + (peak - 1) * np.clip((np.arange(SLOTS) - begin) / (SLOTS - begin), 0, 1)


@pytest.mark.long
@given(st.integers(40, 90), st.floats(3, 6), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_a_leak_began_in_the_range_told(begin: int, peak: float, seed: int) -> None:
    """Found hours later, its range holds the beginning, give or take an hour, and its level is the peak."""
    signal = latencies(growing(begin, peak), seed)
    ramp = find_ramp(signal, HOURS, shift(signal, begin + 18))
    assert ramp is not None
    assert ramp.earliest - 6 <= begin <= ramp.latest + 6
    assert np.exp(ramp.level) == pytest.approx(peak, rel=0.3)
    assert ramp.away == signal.level(ramp.likeliest, SLOTS)


@pytest.mark.long
@given(st.integers(40, 120), st.floats(1.5, 6), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_a_jump_is_no_ramp(begin: int, factor: float, seed: int) -> None:
    """However high it is."""
    level = np.where(np.arange(SLOTS) >= begin, factor, 1.0)
    signal = latencies(level, seed)
    assert find_ramp(signal, HOURS, shift(signal, begin)) is None


def test_failures_can_grow_evenly_too() -> None:
    """From one percent to half of all requests."""
    signal = failures(0.01 + 0.05 * (growing(60, 11) - 1), seed=3)
    ramp = find_ramp(signal, HOURS, shift(signal, 75))
    assert ramp is not None
    assert abs(ramp.likeliest - 60) <= 9
    assert ramp.level == pytest.approx(0.51, abs=0.1)


def test_what_is_over_or_hardly_began_is_no_ramp() -> None:
    """A run that ended, one of minutes, and one with next to nothing before it."""
    signal = latencies(growing(60, 5), seed=1)
    assert find_ramp(signal, HOURS, shift(signal, 70, end=130)) is None
    late = latencies(growing(138, 5), seed=1)
    assert find_ramp(late, HOURS, shift(late, 140)) is None
    few = Signal.by_slot(signal.noise, np.where(np.arange(SLOTS) < 141, 0.0, 1.0), np.zeros(SLOTS))
    assert find_ramp(few, HOURS, shift(few, 141)) is None
