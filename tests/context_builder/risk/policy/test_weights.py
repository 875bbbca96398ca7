"""Shares move a bounded step a tick, add up to 1 and never reach zero."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.risk.policy.limits import MAX_SHIFT
from context_builder.risk.policy.weights import shifted_shares

NAMES = "abcdefgh"
weights = st.floats(1e-3, 1e3)
fleets = st.dictionaries(st.sampled_from(NAMES), weights, min_size=1)


@pytest.mark.long
@settings(deadline=None)
@given(fleets, st.lists(fleets, min_size=1, max_size=12))
def test_no_deployment_loses_more_than_a_fifth_of_its_share_in_a_tick(
    first: dict[str, float], targets: list[dict[str, float]]
) -> None:
    """Other than by an ejection: then shares are compared with those after it."""
    shares = shifted_shares({}, first)
    for target in targets:
        staying = sum(shares.get(name, 0.0) for name in target)
        after = shifted_shares(shares, target)
        assert sum(after.values()) == pytest.approx(1)
        assert after.keys() == target.keys()
        for name, share in after.items():
            assert share > 0
            if staying:
                assert share >= (1 - MAX_SHIFT) * shares.get(name, 0.0) / staying - 1e-12
        moved = sum(max(0.0, share - shares.get(name, 0.0) / (staying or 1)) for name, share in after.items())
        assert not staying or moved <= MAX_SHIFT + 1e-9
        shares = after


@pytest.mark.long
@settings(deadline=None)
@given(fleets)
def test_shares_reach_their_targets(target: dict[str, float]) -> None:
    """Bounded steps arrive in the end."""
    shares = shifted_shares({}, dict.fromkeys(target, 1.0))
    for _ in range(200):
        shares = shifted_shares(shares, target)
    total = sum(target.values())
    assert shares == pytest.approx({name: weight / total for name, weight in target.items()}, abs=1e-6)


def test_the_share_of_an_ejected_one_goes_to_the_others_at_once() -> None:
    """An ejection is no shift: it waits for nothing."""
    assert shifted_shares({"a": 0.5, "b": 0.25, "c": 0.25}, {"b": 1, "c": 1}) == {"b": 0.5, "c": 0.5}


def test_one_that_returns_warms_up() -> None:
    """After recovery the share grows by a fifth of its target a tick, not at once."""
    shares = shifted_shares({"a": 0.5, "b": 0.5}, {"a": 1, "b": 1, "c": 1})
    assert 0 < shares["c"] <= 0.2 / 3 / 0.7
