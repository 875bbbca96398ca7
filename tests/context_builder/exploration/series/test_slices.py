"""Nested slices add up, and each is explored once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np

from context_builder.exploration.detection.onset import level_shifts
from context_builder.exploration.series.signal import Floats
from context_builder.exploration.series.slices import (
    MAX_SLICES,
    MIN_REQUESTS,
    Slice,
    error_signal,
    iter_slices,
    latency_signal,
    mask_of,
    mean_log_latencies,
)
from context_builder.exploration.series.timeline import Timeline
from context_builder.exploration.series.traffic import Cells
from context_builder.question.request import Window
from tests.support.gateway import DAY, NOON
from tests.support.signals import EVIDENCE

TIMELINE = Timeline.of(Window(NOON - DAY, NOON), timedelta(days=7))
NAMES = {"deployment": ["fast/x", "slow/x"], "tier": ["budget", "premium"]}
LATENCY = np.array([5.0, 7.0])
"""Usual log latency by deployment."""


def cells(rate: Floats, share_slow: Floats | float = 0.5, names: dict[str, list[str]] = NAMES) -> Cells:
    """Create traffic of so many requests per hour in each slot, with a share on the second deployment."""
    chance = np.random.default_rng(1)
    slots = TIMELINE.slots
    share = np.broadcast_to(share_slow, slots)
    counts = [
        chance.poisson(rate * TIMELINE.hours * part / 2) for part in (1 - share, share) for _ in range(2)
    ]
    requests = np.concatenate(counts).astype(float)
    deployment, tier = np.repeat([0, 0, 1, 1], slots), np.repeat([0, 1, 0, 1], slots)
    noise = 0.5 * np.sqrt(requests) * chance.standard_normal(len(requests))
    log_sum = requests * LATENCY[deployment] + noise
    squares = log_sum**2 / np.maximum(requests, 1) + 0.25 * np.maximum(requests - 1, 0)
    return Cells(
        TIMELINE, names, np.tile(np.arange(slots), 4), {"deployment": deployment, "tier": tier},
        requests, np.floor(requests / 50), requests * 0.001, requests, log_sum, squares,
    )  # fmt: skip


def flat(rate: float = 300.0) -> Floats:
    return np.full(TIMELINE.slots, rate)


def test_values_and_pairs_add_up_to_everything() -> None:
    """All requests come first, then the values of each dimension, then the pairs."""
    found = dict(iter_slices(whole := cells(flat())))
    assert set(found) == {
        Slice(),
        *(Slice(((name, value),)) for name, values in NAMES.items() for value in values),
        *(
            Slice((("deployment", one), ("tier", two)))
            for one in NAMES["deployment"]
            for two in NAMES["tier"]
        ),
    }
    total = whole.requests.sum()
    for size, dimensions in ((1, {"deployment"}), (1, {"tier"}), (2, {"deployment", "tier"})):
        parts = [
            c for one, c in found.items() if len(one.values) == size and set(dict(one.values)) == dimensions
        ]
        assert sum(whole.requests[chosen].sum() for chosen in parts) == total
        assert (np.sum(parts, axis=0) == 1).all()


def test_only_the_busiest_slices_with_enough_requests_are_explored() -> None:
    """Few requests cannot show a significant change."""
    rare = cells(flat(), share_slow=10 / (300 * 192))
    assert all(rare.requests[chosen].sum() >= MIN_REQUESTS for _, chosen in iter_slices(rare))
    assert "slow/x" not in {one.value_of("deployment") for one, _ in iter_slices(rare)}
    slots = np.arange(300) % TIMELINE.slots
    many = Cells(
        TIMELINE, {"user": [f"u{n}" for n in range(300)]}, slots, {"user": np.arange(300)},
        np.arange(100, 400, dtype=np.float64), np.zeros(300), np.zeros(300),
    )  # fmt: skip
    names = [one.value_of("user") for one, _ in iter_slices(many)][1:]
    assert names == [f"u{299 - n}" for n in range(MAX_SLICES)]


def test_a_slice_contains_slices_with_all_its_values() -> None:
    """Everything contains all; two values of one dimension do not contain each other."""
    one, pair = Slice((("tier", "premium"),)), Slice((("deployment", "a/b"), ("tier", "premium")))
    assert one.contains(pair)
    assert one.contains(one)
    assert not pair.contains(one)
    assert Slice().contains(pair)
    assert not one.contains(Slice((("tier", "budget"),)))
    assert (pair.value_of("tier"), one.value_of("deployment")) == ("premium", None)


def test_traffic_moving_to_a_slower_deployment_is_no_change_of_latency() -> None:
    """Latencies are relative to each deployment's mean."""
    share = np.where(np.arange(TIMELINE.slots) < TIMELINE.slots - 40, 0.2, 0.9)
    whole = cells(flat(), share)
    for _, chosen in iter_slices(whole):
        assert level_shifts(latency_signal(whole, chosen, mean_log_latencies(whole)), EVIDENCE) == []


def test_signals_sum_up_their_cells() -> None:
    """By slot, with nothing lost."""
    whole = cells(flat())
    for _, chosen in iter_slices(whole):
        errors = error_signal(whole, chosen).level(0, TIMELINE.slots)
        assert (errors.weight, errors.mass) == (whole.requests[chosen].sum(), whole.failed[chosen].sum())


def test_a_slice_with_the_requests_of_another_is_explored_once() -> None:
    """A model with one deployment is that deployment; the first name is kept."""
    whole = cells(flat())
    named = replace(
        whole,
        names=whole.names | {"model": ["fast", "slow"]},
        value=whole.value | {"model": whole.value["deployment"]},
    )
    assert [one for one, _ in iter_slices(named)] == [one for one, _ in iter_slices(whole)]
    for one, chosen in iter_slices(named):
        assert (mask_of(named, one) == chosen).all()
