"""A change is named by a slice only if it has clearly more of it than an even spread would give it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from context_builder.exploration.detection.naming import best_slice
from context_builder.exploration.drivers import Breakdown
from context_builder.exploration.series.signal import Distribution, Noise
from context_builder.exploration.series.slices import Slice
from tests.context_builder.exploration.test_change_point import shift

PREMIUM = replace(shift(tier="premium"), also=(Slice(),))


def failures(weight: tuple[int, int], failed: tuple[int, int]) -> Breakdown:
    """Requests of premium and of others now, of which none failed before."""
    after, mass = (np.array(values, dtype=np.float64) for values in (weight, failed))
    values = {"tier": ["premium", "budget"]}
    return Breakdown(values, after, mass, 10 * after, np.zeros(2), Noise(Distribution.BINOMIAL))


@pytest.mark.parametrize(
    ("weight", "failed", "is_premium"),
    [((200, 200), (75, 25), False), ((40, 360), (30, 10), True), ((200, 200), (95, 5), True)],
)
def test_half_of_the_traffic_with_most_of_a_change_does_not_name_it(
    weight: tuple[int, int], failed: tuple[int, int], *, is_premium: bool
) -> None:
    """Three quarters of the failures in half of the requests are a change of all; in a tenth, of these."""
    parts = failures(weight, failed)
    named = best_slice(PREMIUM, parts, parts, [])
    assert named == (PREMIUM.slice if is_premium else Slice())
