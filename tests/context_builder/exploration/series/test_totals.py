"""Totals are signals against what is usual at their hours."""

from __future__ import annotations

import numpy as np
import pytest

from context_builder.exploration.detection.onset import level_shifts
from context_builder.exploration.series.signal import Floats
from context_builder.exploration.series.slices import iter_slices
from context_builder.exploration.series.timeline import Timeline
from context_builder.exploration.series.totals import TotalSignals
from context_builder.exploration.series.traffic import Cells
from context_builder.question.request import Window
from tests.support.gateway import DAY, HOUR, NOON
from tests.support.signals import EVIDENCE

EXPLORED = Timeline.of(Window(NOON - DAY, NOON), 7 * DAY)
HISTORY = Timeline.of(Window(NOON - DAY, NOON), 21 * DAY)


def cells(rate: Floats, timeline: Timeline = HISTORY) -> Cells:
    """Create traffic of so many requests per hour in each slot, spread over two deployments."""
    chance = np.random.default_rng(1)
    requests = np.concatenate([chance.poisson(rate * timeline.hours / 2) for _ in range(2)]).astype(float)
    place = np.repeat([0, 1], timeline.slots)
    return Cells(
        timeline, {"deployment": ["a/x", "b/x"]},
        np.tile(np.arange(timeline.slots), 2), {"deployment": place},
        requests, 0 * requests, requests * 0.001,
    )  # fmt: skip


def daily(timeline: Timeline = HISTORY) -> Floats:
    """Ten times as many requests in the afternoon as at night."""
    hours = np.array([start.hour for start in timeline.starts])
    return 40 + 360 * np.sin(np.pi * hours / 24) ** 2


def test_a_daily_pattern_is_no_change_and_four_times_or_a_tenth_of_it_is() -> None:
    """By its factor, from when on it was."""
    last = np.array([start >= NOON - 4 * HOUR for start in HISTORY.starts])
    for factor in (1.0, 4.0, 0.1):
        whole = cells(np.where(last, daily() * factor, daily()))
        totals = TotalSignals(whole, EXPLORED)
        counted = totals.counted(whole, np.ones(len(whole.slot), dtype=np.bool_), whole.requests)
        assert counted is not None
        signal, usual = totals.signal(counted)
        assert usual is not None
        found = [
            shift
            for shift in level_shifts(signal, EVIDENCE)
            if not 0.7 < shift.away.value / shift.usual.value < 1.4
        ]
        assert len(found) == (factor != 1)
        for shift in found:
            assert shift.end is None
            assert abs(EXPLORED.starts[shift.first] - (NOON - 4 * HOUR)) <= HOUR / 2
            assert shift.away.value / shift.usual.value == pytest.approx(factor, rel=0.3)


def test_signals_sum_up_their_cells_with_a_history_and_without() -> None:
    """By slot, with nothing lost but the slot in which the log may have begun."""
    for timeline, knows in ((HISTORY, True), (Timeline.of(Window(NOON - DAY, NOON), HOUR), False)):
        explored = EXPLORED if knows else timeline
        whole = cells(np.full(timeline.slots, 300.0), timeline)
        totals = TotalSignals(whole, explored)
        for _, chosen in iter_slices(whole):
            counted = totals.counted(whole, chosen, whole.requests)
            assert counted is not None
            signal, usual = totals.signal(counted)
            assert (usual is not None) is knows
            assert signal.mass[1:] == pytest.approx(
                whole.by_slot(whole.requests, chosen)[-explored.slots :][1:]
            )


def test_without_any_of_it_there_is_no_signal() -> None:
    """No requests, and no cost."""
    none = cells(np.zeros(HISTORY.slots))
    totals, everything = TotalSignals(none, EXPLORED), np.ones(len(none.slot), dtype=np.bool_)
    assert totals.counted(none, everything, none.requests) is None
    assert totals.counted(none, everything, none.cost_usd) is None
