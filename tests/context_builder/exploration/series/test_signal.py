"""Signals compare levels by likelihood, and merging buckets loses nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from context_builder.exploration.series.signal import Distribution, Noise, SignalLevel
from tests.support.signals import AWAY, DEVIATION, USUAL, busy, drawn

every_law = pytest.mark.parametrize("law", list(Distribution))
WEIGHTS = st.integers(0, 10**9)
SHARES = st.floats(0, 1, allow_subnormal=False)


@st.composite
def levels(draw: st.DrawFn) -> SignalLevel:
    """Draw any consistent counts, from none to a billion."""
    weight = draw(WEIGHTS)
    return SignalLevel(float(weight), float(round(weight * draw(SHARES))))


def of(law: Distribution) -> Noise:
    return Noise(law, DEVIATION)


@every_law
@settings(deadline=None)
@given(one=levels(), other=levels())
def test_evidence_is_symmetric_and_never_negative(
    law: Distribution, one: SignalLevel, other: SignalLevel
) -> None:
    """The order of two levels does not matter, whatever the counts."""
    evidence = of(law).evidence(one, other)
    assert math.isfinite(evidence)
    assert evidence >= 0
    assert evidence == pytest.approx(of(law).evidence(other, one), rel=1e-6, abs=1e-3)


@every_law
@settings(deadline=None)
@given(weight=st.integers(1, 10**6), mass=st.integers(0, 10**6), times=st.integers(1, 1000))
def test_equal_levels_are_no_evidence(law: Distribution, weight: int, mass: int, times: int) -> None:
    """Equal rates are equal levels, however different the sample sizes."""
    assume(mass <= weight)
    one = SignalLevel(float(weight), float(mass))
    other = SignalLevel(float(weight * times), float(mass * times))
    assert of(law).evidence(one, other) == pytest.approx(0, abs=1e-3)


@every_law
@settings(deadline=None)
@given(one=levels(), other=levels())
def test_evidence_grows_with_the_sample(law: Distribution, one: SignalLevel, other: SignalLevel) -> None:
    """Ten times the counts at the same levels are ten times the evidence."""
    more = (SignalLevel(10 * level.weight, 10 * level.mass) for level in (one, other))
    evidence = of(law).evidence(one, other)
    assert of(law).evidence(*more) == pytest.approx(10 * evidence, rel=1e-3, abs=0.1)


@every_law
def test_no_weight_is_no_evidence(law: Distribution) -> None:
    """A side without weight has level 0 and gives no evidence."""
    assert of(law).evidence(SignalLevel(0.0, 0.0), SignalLevel(50.0, 20.0)) == 0
    assert SignalLevel(0.0, 0.0).value == 0


@every_law
def test_evidence_is_the_squared_number_of_standard_deviations(law: Distribution) -> None:
    """Random differences have evidence 1 on average, the unit of thresholds."""
    found = []
    for seed in range(400):
        one = drawn(law, [400.0, 900.0], USUAL[law], seed)
        found.append(one.noise.evidence(one.level(0, 1), one.level(1, 2)))
    assert 0.8 < np.mean(found) < 1.25


@every_law
@settings(deadline=None)
@given(seed=st.integers(0, 10**6), least=st.floats(0, 400), slots=st.integers(1, 120))
def test_merging_keeps_sums_and_starts_of_buckets(
    law: Distribution, seed: int, least: float, slots: int
) -> None:
    """Each merged bucket is the sum of its slots; none is too light."""
    whole = drawn(law, busy(law, slots, seed), USUAL[law], seed)
    merged = whole.merged(least)
    bounds = [*merged.first_slot, slots]
    assert bounds[0] == 0
    for bucket in range(len(merged)):
        expected, found = whole.level(*bounds[bucket : bucket + 2]), merged.level(bucket, bucket + 1)
        assert (found.weight, found.mass) == pytest.approx((expected.weight, expected.mass))
    assert all(weight >= least for weight in merged.weight[:-1])


@every_law
def test_standardised_buckets_have_variance_one(law: Distribution) -> None:
    """Without a change, whatever the weights; and a change moves them by its size."""
    weight = 10 * np.maximum(busy(law, 2000, 1), 20)
    assert drawn(law, weight, USUAL[law], 1).standardised().std() == pytest.approx(1, abs=0.1)
    step = np.where(np.arange(2000) < 1000, USUAL[law], AWAY[law])
    values = drawn(law, weight, step, 1).standardised()
    assert values[1000:].mean() - values[:1000].mean() > 3
