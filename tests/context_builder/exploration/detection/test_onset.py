"""Planted level shifts are found, and noise alone has none."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.exploration.detection.onset import (
    FALSE_ALARM_RATE,
    LevelShift,
    estimate_onset,
    level_shifts,
    min_evidence,
)
from context_builder.exploration.series.signal import Distribution, Signal
from tests.support.signals import AWAY, EVIDENCE, USUAL, busy, drawn, signal

SLOTS = 300
every_law = pytest.mark.parametrize("law", list(Distribution))
every_seed = pytest.mark.parametrize("seed", range(4))
Levels = npt.NDArray[np.float64]


def away(law: Distribution, *spans: tuple[int, int | None]) -> Levels:
    """Return the baseline level, and another one in these spans of slots."""
    levels = np.full(SLOTS, USUAL[law])
    for start, end in spans:
        levels[start:end] = AWAY[law]
    return levels


def agrees(found: LevelShift, start: int, end: int | None) -> bool:
    """Return whether a level shift is the planted one, to within a bucket of one or two slots."""
    right_start = found.first - 3 <= start < found.within + 2
    right_end = (found.end is None) == (end is None) and (end is None or abs((found.end or 0) - end) <= 3)
    return right_start and right_end


@pytest.mark.long
@every_law
def test_noise_has_no_level_shift(law: Distribution) -> None:
    """In three hundred signals of unequal weights, some sparse, some with bursts at low levels."""
    found = []
    for seed in range(100):
        weight = busy(law, SLOTS, seed)
        level = USUAL[law] * (1 + seed % 5)
        found += level_shifts(drawn(law, weight, level, seed), EVIDENCE)
        found += level_shifts(drawn(law, np.ceil(weight / 10), level, seed), EVIDENCE)
        found += level_shifts(drawn(law, weight * 50, level / 10, seed), EVIDENCE)
    assert found == []


@pytest.mark.parametrize("places", [0, 1, 100, 5_000, 10**6])
def test_more_tests_need_more_evidence(places: int) -> None:
    """The family-wise false alarm rate is constant for any number of tests (Bonferroni)."""
    beyond = math.erfc(math.sqrt(min_evidence(places) / 2))
    assert beyond * max(1, places) == pytest.approx(FALSE_ALARM_RATE)


def test_overdispersion_is_no_level_shift() -> None:
    """Requests come in bunches and failures in clusters, which is no change."""
    chance = np.random.default_rng(5)
    for _ in range(30):
        shares = chance.beta(2, 38, SLOTS)
        weight = np.full(SLOTS, 200.0)
        assert level_shifts(signal(Distribution.BINOMIAL, weight, np.round(weight * shares)), EVIDENCE) == []
        assert (
            level_shifts(
                signal(Distribution.POISSON, weight, weight * chance.gamma(10, 0.1, SLOTS)), EVIDENCE
            )
            == []
        )


@every_law
@every_seed
@pytest.mark.parametrize(
    "spans",
    [
        [(200, None)],
        [(150, None)],
        [(100, None)],
        [(SLOTS - 12, None)],
        [(180, 210)],
        [(120, 150), (220, 260)],
        [(120, 150), (250, None)],
    ],
    ids=str,
)
def test_planted_runs_are_found_with_start_and_end(
    law: Distribution, seed: int, spans: list[tuple[int, int | None]]
) -> None:
    """A step late, halfway or early, a burst that is over, two bursts: each once, and nothing else."""
    found = level_shifts(drawn(law, np.full(SLOTS, 60.0), away(law, *spans), seed), EVIDENCE)
    assert len(found) == len(spans)
    for one, (start, end) in zip(found, spans, strict=True):
        assert agrees(one, start, end), one
        assert one.away.value == pytest.approx(AWAY[law], rel=0.2)
        assert one.usual.value == pytest.approx(USUAL[law], rel=0.2)


@every_law
@every_seed
def test_unequal_weights_and_empty_slots_hide_no_step(law: Distribution, seed: int) -> None:
    """With traffic that varies tenfold, the onset is found where there is traffic."""
    (found,) = level_shifts(drawn(law, busy(law, SLOTS, seed), away(law, (190, None)), seed), EVIDENCE)
    assert found.end is None
    assert abs(found.first - 190) <= 5


@every_law
@every_seed
def test_a_change_in_the_very_last_slot_is_found(law: Distribution, seed: int) -> None:
    """A change that has just begun has a single slot."""
    (found,) = level_shifts(drawn(law, np.full(SLOTS, 150.0), away(law, (SLOTS - 1, None)), seed), EVIDENCE)
    assert (found.end, found.within) == (None, SLOTS)
    assert SLOTS - 3 <= found.first < SLOTS


@every_law
def test_a_fall_is_found_like_a_rise(law: Distribution) -> None:
    """A level that drops, and totals that stop altogether."""
    levels = np.where(np.arange(SLOTS) < 200, AWAY[law], USUAL[law])
    (found,) = level_shifts(drawn(law, np.full(SLOTS, 60.0), levels, 1), EVIDENCE)
    assert agrees(found, 200, None)
    assert found.away.value < found.usual.value


def test_silence_is_a_level_shift() -> None:
    """A gap has a start and an end, and no mass at all."""
    levels = np.where((np.arange(SLOTS) >= 200) & (np.arange(SLOTS) < 206), 0.0, 1.0)
    (found,) = level_shifts(drawn(Distribution.POISSON, np.full(SLOTS, 60.0), levels, 1), EVIDENCE)
    assert (found.first, found.end, found.away.mass) == (200, 206, 0)


@every_law
@every_seed
def test_a_gradual_change_is_one_level_shift(law: Distribution, seed: int) -> None:
    """A ramp over hours starts about where it leaves the baseline, and is still away at the end."""
    ramp = np.clip((np.arange(SLOTS) - 200) / 40, 0, 1)
    levels = USUAL[law] + ramp * (AWAY[law] - USUAL[law])
    (found,) = level_shifts(drawn(law, np.full(SLOTS, 60.0), levels, seed), EVIDENCE)
    assert found.end is None
    assert 195 <= found.first <= 225


@every_law
def test_too_little_data_has_no_level_shift(law: Distribution) -> None:
    """No slot, one slot, two, no weight at all, and too few requests for a rate."""
    for weight in ([], [50.0], [50.0, 50.0], [0.0] * 40, [1.0] * 10):
        assert level_shifts(drawn(law, weight, USUAL[law], 1), EVIDENCE) == []


@every_law
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_constant_level_has_no_level_shift(law: Distribution, share: float) -> None:
    """If nothing ever failed, or everything, there is no variance to divide by."""
    weight = np.full(SLOTS, 40.0)
    assert level_shifts(signal(law, weight, weight * share), EVIDENCE) == []


@every_law
def test_huge_counts_are_no_change_by_themselves(law: Distribution) -> None:
    """With a billion requests per slot a step is found to the slot, and a steady level has no shift."""
    weight = np.full(SLOTS, 1e9)
    assert level_shifts(drawn(law, weight, USUAL[law], 3), EVIDENCE) == []
    (found,) = level_shifts(drawn(law, weight, away(law, (211, None)), 3), EVIDENCE)
    assert (found.first, found.end) in ((211, None), (210, None))


@pytest.mark.long
@given(
    st.sampled_from(list(Distribution)),
    st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 1)), max_size=80),
)
@settings(max_examples=60, deadline=None)
def test_level_shifts_are_in_order_and_within_the_slots(
    law: Distribution, slots: list[tuple[int, float]]
) -> None:
    """Whatever the counts, spans are not empty, do not overlap, and only the last may have no end."""
    found = level_shifts(
        signal(law, [one for one, _ in slots], [round(one * two) for one, two in slots]), EVIDENCE
    )
    for one in found:
        assert 0 <= one.first < one.within <= (one.end or len(slots))
    for one, other in pairwise(found):
        assert one.end is not None
        assert one.end <= other.first


def minutes(law: Distribution, weight: float, turn: int, seed: int) -> Signal:
    """Return an hour and a half of minutes that shifts at one of them."""
    levels = np.where(np.arange(90) < turn, USUAL[law], AWAY[law])
    return drawn(law, np.full(90, weight), levels, seed)


@every_law
def test_the_plausible_interval_contains_the_true_onset(law: Distribution) -> None:
    """In at least nine of ten cases; it contains the likeliest minute, and more data make it shorter."""
    lengths, held = [], []
    for weight in (1.0, 4.0, 16.0):
        turns = [
            (at, estimate_onset(minutes(law, weight, at, 100 * at + seed), USUAL[law], AWAY[law]))
            for at in range(2, 88)
            for seed in range(3)
        ]
        held += [found.first <= at <= found.last for at, found in turns]
        assert all(found.first <= found.likeliest <= found.last for _, found in turns)
        lengths.append(np.mean([found.last - found.first + 1 for _, found in turns]))
    assert np.mean(held) >= 0.9
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[2] < 4


@every_law
def test_empty_minutes_do_not_date_an_onset(law: Distribution) -> None:
    """The onset is the first minute with requests at the new level."""
    whole = minutes(law, 20.0, 40, 2)
    seen = np.arange(90) % 10 == 0
    sparse = replace(whole, weight=whole.weight * seen, mass=whole.mass * seen)
    assert estimate_onset(sparse, USUAL[law], AWAY[law]).likeliest == 40
