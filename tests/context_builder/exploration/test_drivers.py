"""Planted slices are found first and with their share; a change that is spread evenly has no driver."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.exploration.drivers import Breakdown, Driver, find_drivers
from context_builder.exploration.series.signal import Distribution, Noise
from context_builder.exploration.series.slices import Slice

VALUES = {
    "deployment": ("gpt-4/aws", "gpt-4/k8s", "llama/k8s", "mistral/gcp"),
    "tier": ("budget", "premium", "standard"),
    "router_version": ("v1", "v2"),
}
KEYS = list(product(*VALUES.values()))
Floats = npt.NDArray[np.float64]
Fault = tuple[dict[str, str], float]
"""The slice that is hit, and its level afterwards."""

every_seed = pytest.mark.parametrize("seed", range(5))


def hit(where: dict[str, str]) -> npt.NDArray[np.bool_]:
    """Return a mask of the cells of a slice."""
    names = list(VALUES)
    return np.array([all(key[names.index(name)] == value for name, value in where.items()) for key in KEYS])


def failures(seed: int, *faults: Fault, usual: float = 0.02, everywhere: float = 0.02) -> Breakdown:
    """Create requests and failures of every combination, far more before than after."""
    chance = np.random.default_rng(seed)
    weight, past = chance.integers(50, 300, len(KEYS)), chance.integers(500, 3000, len(KEYS))
    level = np.full(len(KEYS), everywhere)
    for where, share in faults:
        level[hit(where)] = share
    return of(
        Distribution.BINOMIAL, weight, chance.binomial(weight, level), past, chance.binomial(past, usual)
    )


def totals(seed: int, *faults: Fault, everywhere: float = 1.0) -> Breakdown:
    """Create requests of every combination, with half as many expected after as before."""
    chance = np.random.default_rng(seed)
    past = chance.integers(500, 3000, len(KEYS))
    factor = np.full(len(KEYS), everywhere)
    for where, times in faults:
        factor[hit(where)] = times
    mass = chance.poisson(past * 0.5 * factor)
    return replace(of(Distribution.POISSON, mass, mass, past, past), exposure=0.5)


def of(law: Distribution, *sums: npt.ArrayLike) -> Breakdown:
    """Create a breakdown by the dimensions of VALUES."""
    values = {name: [key[place] for key in KEYS] for place, name in enumerate(VALUES)}
    weight, mass, past_weight, past_mass = (np.asarray(one, dtype=float) for one in sums)
    return Breakdown(values, weight, mass, past_weight, past_mass, Noise(law))


def slice_of(where: dict[str, str]) -> Slice:
    """Return the slice with these values."""
    return Slice(tuple(where.items()))


@every_seed
@pytest.mark.parametrize(
    "where",
    [
        {"deployment": "llama/k8s"},
        {"tier": "premium"},
        {"router_version": "v2"},
        {"deployment": "gpt-4/aws", "tier": "premium"},
        {"tier": "budget", "router_version": "v2"},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["failures", "surge", "loss"])
def test_a_planted_slice_is_found_first_with_all_of_the_change(
    where: dict[str, str], kind: str, seed: int
) -> None:
    """A single value or a pair is the only driver; its levels and size are those of its cells."""
    breakdown = {
        "failures": lambda: failures(seed, (where, 0.5)),
        "surge": lambda: totals(seed, (where, 6.0)),
        "loss": lambda: totals(seed, (where, 0.1)),
    }[kind]()
    (driver,) = find_drivers(breakdown, rose=kind != "loss")
    cells = hit(where)
    assert driver.slice == slice_of(where)
    assert driver.share > 0.8
    assert set(driver.cells) == set(np.flatnonzero(cells))
    assert (driver.after.weight, driver.after.mass) == (
        breakdown.weight[cells].sum(),
        breakdown.mass[cells].sum(),
    )
    assert (driver.before.weight, driver.before.mass) == (
        breakdown.past_weight[cells].sum(),
        breakdown.past_mass[cells].sum(),
    )
    part = breakdown.weight if breakdown.exposure is None else breakdown.past_mass
    assert driver.size == pytest.approx(part[cells].sum() / part.sum())


@every_seed
def test_two_planted_faults_are_both_found(seed: int) -> None:
    """A single value and a pair; together their shares are about the whole change."""
    one, other = {"deployment": "gpt-4/aws"}, {"deployment": "llama/k8s", "tier": "premium"}
    found = find_drivers(failures(seed, (one, 0.4), (other, 0.8)), rose=True)
    assert [driver.slice for driver in found[:2]] in (
        [slice_of(one), slice_of(other)],
        [slice_of(other), slice_of(one)],
    )
    assert all(driver.share > 0.25 for driver in found[:2])
    assert 0.85 < sum(driver.share for driver in found) < 1.15


@every_seed
@pytest.mark.parametrize("everywhere", [0.08, 0.2])
def test_a_change_that_is_spread_evenly_has_no_driver(seed: int, everywhere: float) -> None:
    """Every slice got worse by the same amount."""
    assert find_drivers(failures(seed, everywhere=everywhere), rose=True) == []
    assert find_drivers(totals(seed, everywhere=1 + 10 * everywhere), rose=True) == []


def test_a_slice_that_has_all_traffic_is_no_driver() -> None:
    """After a rollout all requests have the new version, so it explains nothing."""
    whole = failures(1, everywhere=0.3)
    keep = hit({"router_version": "v2"})
    after = replace(whole, weight=whole.weight * keep, mass=whole.mass * keep)
    assert [driver.slice for driver in find_drivers(after, rose=True)] == []


def test_a_slice_that_dominates_after_a_surge_is_its_driver() -> None:
    """A user who sends a thousand times as much is compared with the user's own past."""
    (driver,) = find_drivers(totals(1, ({"tier": "budget"}, 1000.0)), rose=True)
    assert driver.slice == slice_of({"tier": "budget"})
    assert driver.size < 0.5


def test_the_same_cells_under_two_names_are_one_driver() -> None:
    """If a backend has one deployment, the first dimension names it, and the other is an equivalent."""
    breakdown = failures(2, ({"deployment": "mistral/gcp"}, 0.5))
    backends = [name.partition("/")[2] for name in breakdown.values["deployment"]]
    breakdown = replace(breakdown, values={**breakdown.values, "backend": backends})
    (driver,) = find_drivers(breakdown, rose=True)
    assert driver.slice == slice_of({"deployment": "mistral/gcp"})
    assert driver.equivalents == (slice_of({"backend": "gcp"}),)


def test_a_slice_without_a_past_is_compared_with_everything() -> None:
    """A new deployment that fails is found without any past of its own."""
    whole = failures(3, ({"deployment": "gpt-4/k8s"}, 0.5))
    past = ~hit({"deployment": "gpt-4/k8s"})
    new = replace(whole, past_weight=whole.past_weight * past, past_mass=whole.past_mass * past)
    (driver,) = find_drivers(new, rose=True)
    assert driver.slice == slice_of({"deployment": "gpt-4/k8s"})
    assert driver.before.weight == 0


def test_the_direction_matters() -> None:
    """A rise does not explain a fall."""
    fault = ({"tier": "premium"}, 6.0)
    assert find_drivers(totals(4, fault), rose=False) == []


@st.composite
def breakdowns(draw: st.DrawFn) -> Breakdown:
    """Draw any counts, including none."""
    counts = st.lists(st.integers(0, 10_000), min_size=len(KEYS), max_size=len(KEYS))
    shares = st.lists(st.floats(0, 1), min_size=len(KEYS), max_size=len(KEYS))
    weight, past = np.array(draw(counts)), np.array(draw(counts))
    mass, past_mass = np.round(weight * draw(shares)), np.round(past * draw(shares))
    if draw(st.booleans()):
        return of(Distribution.BINOMIAL, weight, mass, past, past_mass)
    exposure = draw(st.sampled_from((0.0, 0.01, 1.0, 30.0)))
    return replace(of(Distribution.POISSON, weight, weight, past, past), exposure=exposure)


def summary(found: list[Driver]) -> list[tuple[Slice, float, float]]:
    """Return slices, shares and sizes to nine digits, since sums depend on their order beyond that."""
    return [(driver.slice, round(driver.share, 9), round(driver.size, 9)) for driver in found]


@pytest.mark.long
@given(breakdowns(), st.booleans(), st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
def test_drivers_do_not_depend_on_the_order_of_cells(
    breakdown: Breakdown, rose: bool, order: np.random.Generator
) -> None:
    """Whatever the counts; shares and sizes are in [0, 1], and each is told once, with all of its cells."""
    found = find_drivers(breakdown, rose=rose)
    places = list(range(len(KEYS)))
    order.shuffle(places)
    shuffled = replace(
        breakdown,
        values={name: [column[n] for n in places] for name, column in breakdown.values.items()},
        weight=breakdown.weight[places], mass=breakdown.mass[places],
        past_weight=breakdown.past_weight[places], past_mass=breakdown.past_mass[places],
    )  # fmt: skip
    assert summary(find_drivers(shuffled, rose=rose)) == summary(found)
    assert len(found) == len({driver.slice for driver in found})
    for driver in found:
        assert driver.cells == tuple(np.flatnonzero(breakdown.cells_in(driver.slice)))
        assert driver.after.mass == pytest.approx(breakdown.mass[list(driver.cells)].sum())
        assert 0 <= driver.size <= 1
        assert 0 < driver.share <= 1


def test_nothing_has_no_drivers() -> None:
    """No cells, no requests, or no dimension with two values give no driver."""
    nothing = np.zeros(0)
    noise = Noise(Distribution.BINOMIAL)
    empty = Breakdown({"tier": []}, nothing, nothing, nothing, nothing, noise)
    assert find_drivers(empty, rose=True) == []
    zero = np.zeros(len(KEYS))
    assert find_drivers(of(Distribution.BINOMIAL, zero, zero, zero, zero), rose=True) == []
    one = np.array([100.0])
    single = Breakdown({"tier": ["premium"]}, one, one, one, 0 * one, noise)
    assert find_drivers(single, rose=True) == []
