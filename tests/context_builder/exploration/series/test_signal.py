"""Signals compare levels by the likelihood of their counts, and lose nothing when they are merged."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from context_builder.exploration.series.signal import Distribution, Noise, SignalLevel
from support.signals import AWAY, DEVIATION, USUAL, busy, drawn

every_law = pytest.mark.parametrize("law", list(Distribution))
WEIGHTS = st.integers(0, 10**9)
SHARES = st.floats(0, 1, allow_subnormal=False)


@st.composite
def levels(draw: st.DrawFn) -> SignalLevel:
    """Any counts that go with each other, from none to a billion."""
    weight = draw(WEIGHTS)
    return SignalLevel(float(weight), float(round(weight * draw(SHARES))))


def of(law: Distribution) -> Noise:
    return Noise(law, DEVIATION)


@every_law
@given(one=levels(), other=levels())
def test_evidence_is_symmetric_and_never_negative(
    law: Distribution, one: SignalLevel, other: SignalLevel
) -> None:
    """It does not matter which of two levels was first, whatever the counts."""
    evidence = of(law).evidence(one, other)
    assert math.isfinite(evidence)
    assert evidence >= 0
    assert evidence == pytest.approx(of(law).evidence(other, one), rel=1e-6, abs=1e-3)


@every_law
@given(weight=st.integers(1, 10**6), mass=st.integers(0, 10**6), times=st.integers(1, 1000))
def test_equal_levels_are_no_evidence(law: Distribution, weight: int, mass: int, times: int) -> None:
    """However different the sample sizes: the same share is the same level."""
    assume(mass <= weight)
    one = SignalLevel(float(weight), float(mass))
    other = SignalLevel(float(weight * times), float(mass * times))
    assert of(law).evidence(one, other) == pytest.approx(0, abs=1e-3)


@every_law
@given(one=levels(), other=levels())
def test_evidence_grows_with_the_sample(law: Distribution, one: SignalLevel, other: SignalLevel) -> None:
    """Ten times the counts at the same levels are ten times the evidence."""
    more = (SignalLevel(10 * level.weight, 10 * level.mass) for level in (one, other))
    evidence = of(law).evidence(one, other)
    assert of(law).evidence(*more) == pytest.approx(10 * evidence, rel=1e-3, abs=0.1)


@every_law
def test_nothing_is_no_evidence(law: Distribution) -> None:
    """A side without any weight says nothing, and has the level 0."""
    assert of(law).evidence(SignalLevel(0.0, 0.0), SignalLevel(50.0, 20.0)) == 0
    assert SignalLevel(0.0, 0.0).value == 0


@every_law
def test_evidence_is_the_square_of_the_standard_deviations_between(law: Distribution) -> None:
    """Differences that chance makes have one on average: what thresholds are measured in."""
    found = []
    for seed in range(400):
        one = drawn(law, [400.0, 900.0], USUAL[law], seed)
        found.append(one.noise.evidence(one.level(0, 1), one.level(1, 2)))
    assert 0.8 < np.mean(found) < 1.25


@every_law
@given(seed=st.integers(0, 10**6), least=st.floats(0, 400), slots=st.integers(1, 120))
def test_merging_keeps_sums_and_where_buckets_begin(
    law: Distribution, seed: int, least: float, slots: int
) -> None:
    """Each merged bucket is the sum of the slots from its first one to the next; none is too light."""
    whole = drawn(law, busy(law, slots, seed), USUAL[law], seed)
    merged = whole.merged(least)
    bounds = [*merged.first_slot, slots]
    assert bounds[0] == 0
    for bucket in range(len(merged)):
        expected, found = whole.level(*bounds[bucket : bucket + 2]), merged.level(bucket, bucket + 1)
        assert (found.weight, found.mass) == pytest.approx((expected.weight, expected.mass))
    assert all(weight >= least for weight in merged.weight[:-1])


@every_law
def test_standardised_buckets_vary_by_one(law: Distribution) -> None:
    """Where nothing changes, whatever the weights; and a change moves them by its size."""
    weight = 10 * np.maximum(busy(law, 2000, 1), 20)
    assert drawn(law, weight, USUAL[law], 1).standardised().std() == pytest.approx(1, abs=0.1)
    step = np.where(np.arange(2000) < 1000, USUAL[law], AWAY[law])
    values = drawn(law, weight, step, 1).standardised()
    assert values[1000:].mean() - values[:1000].mean() > 3
