"""The benchmark's score has the anchors of its definition."""

from __future__ import annotations

import numpy as np
import pytest

from context_builder.risk.measures.series_table import Floats
from tests.evaluation.risk.nab import LOW_FALSE_ALARMS, STANDARD, Labelled, normalized, sigmoid


def scored(*rows: int, size: int = 1_000) -> Floats:
    scores = np.zeros(size)
    scores[list(rows)] = 1.0
    return scores


def result(*rows: int, profile: object = STANDARD) -> float:
    windows = ((300, 399), (600, 699))
    used = LOW_FALSE_ALARMS if profile is LOW_FALSE_ALARMS else STANDARD
    return normalized([Labelled(scored(*rows), windows)], 0.5, used)


def test_nothing_scores_0_and_every_window_at_its_start_100() -> None:
    """The two ends of the scale."""
    assert result() == pytest.approx(0)
    assert result(300, 600) == pytest.approx(100)


def test_later_is_worth_less_and_a_false_alarm_costs() -> None:
    """A hit at the end of a window is worth little; alarms outside cost, twice as much where they are to."""
    early, late = result(300), result(399)
    assert early == pytest.approx(50)
    assert 25 < late < early
    wrong = result(300, 150) - early
    assert wrong == pytest.approx(-100 * 0.11 / 4)
    assert result(300, 150, profile=LOW_FALSE_ALARMS) - early == pytest.approx(2 * wrong)


def test_a_second_hit_in_a_window_is_worth_nothing() -> None:
    """Only the first counts."""
    assert result(310, 320, 330) == result(310)


def test_the_first_rows_are_not_scored() -> None:
    """A false alarm within the probation costs nothing."""
    assert result(10, 149) == pytest.approx(0)


def test_the_sigmoid_falls_through_0_at_the_end_of_a_window() -> None:
    """1 long before, 0 at the end, -1 long after."""
    assert sigmoid(0) == 0
    assert sigmoid(-1) == pytest.approx(0.9866, abs=1e-4)
    assert sigmoid(4) == -1
