"""The feature store stays bounded and right whatever clocks and deployments do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.risk.measures import history as history_module
from context_builder.risk.measures.history import FORGET_AFTER, KEPT, MAX_GAP, MAX_LATE, History, Minute
from tests.support.risk_minutes import START, minute


def take(history: History, one: Minute) -> None:
    if not history.advance(one.number).is_late:
        history.take(one)
        history.forgotten()


def test_a_window_has_the_newest_minute_first() -> None:
    """Values come back in the order of time, and a minute that is missing is NaN."""
    history = History()
    for number in (0, 1, 3):
        take(history, minute(number, [100.0 + number]))
    window = history.window("p95_ms", 5)[history.rows[1]]
    assert window[[0, 2, 3]].tolist() == [103.0, 101.0, 100.0]
    assert np.isnan(window[[1, 4]]).all()


def test_an_old_value_is_not_taken_for_a_new_one() -> None:
    """A place of the ring that was not written for KEPT minutes counts as missing."""
    history = History()
    take(history, minute(0, [100.0]))
    take(history, minute(KEPT, [200.0]))
    window = history.window("p95_ms", KEPT)[history.rows[1]]
    assert window[0] == 200.0
    assert np.isnan(window[1:]).all()


@pytest.mark.parametrize(
    ("step", "late", "broken", "missing"),
    [
        (1, False, False, 0),
        (2, False, False, 1),
        (MAX_GAP + 1, False, False, MAX_GAP),
        (MAX_GAP + 2, False, True, 0),
        (10**7, False, True, 0),
        (0, True, False, 0),
        (-MAX_LATE, True, False, 0),
        (-MAX_LATE - 1, False, True, 0),
        (-(10**7), False, True, 0),
    ],
)
def test_clocks_jump(step: int, *, late: bool, broken: bool, missing: int) -> None:
    """What is a little late is left out; a long gap, ahead or back, starts again from there."""
    history = History()
    history.advance(START)
    advance = history.advance(START + step)
    assert (advance.is_late, advance.is_break, advance.missing) == (late, broken, missing)
    assert history.last == (START if late else START + step)


@pytest.mark.parametrize("value", [-1.0, float("inf"), float("-inf")])
def test_an_impossible_value_is_no_value(value: float) -> None:
    """Negative and infinite measures are refused, counted, and leave the others alone."""
    history = History()
    take(history, minute(0, [value, 7.0]))
    assert history.refused == 1
    window = history.window("p95_ms", 1)[:, 0]
    assert np.isnan(window[history.rows[1]])
    assert window[history.rows[2]] == 7.0


def test_a_deployment_that_is_gone_gives_its_row_away() -> None:
    """After FORGET_AFTER minutes its row is cleared and taken by the next that appears."""
    history = History()
    take(history, minute(0, [1.0]))
    row = history.rows[1]
    for number in range(1, FORGET_AFTER + 2, MAX_GAP):
        take(history, minute(number, [2.0], first=2))
    take(history, minute(FORGET_AFTER + 2, [2.0], first=2))
    assert 1 not in history.rows
    take(history, minute(FORGET_AFTER + 3, [3.0], first=9))
    assert history.rows[9] == row
    assert np.isnan(history.window("p95_ms", KEPT)[row, 1:]).all()


@settings(max_examples=40)
@given(st.lists(st.sets(st.integers(1, 60), min_size=1, max_size=20), min_size=1, max_size=25))
def test_memory_is_bounded(appearing: list[set[int]]) -> None:
    """With room for 16 deployments, any coming and going keeps each newest one in a row of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history_module, "MAX_DEPLOYMENTS", 16)
        history = History()
        for number, deployments in enumerate(appearing):
            ids = np.array(sorted(deployments))
            before = dict(history.rows)
            take(history, Minute(START + number, ids, np.full((len(ids), 8), float(number))))
            assert all(history.rows[one] == before[one] for one in deployments & before.keys()), "all stay"
            rows = list(history.rows.values())
            assert len(set(rows)) == len(rows) <= 16
            assert len(history.table["seen"]) <= 16
            assert len(deployments - history.rows.keys()) == max(0, len(deployments) - 16)
            assert all(
                history.window("p95_ms", 1)[history.rows[one], 0] == number
                for one in deployments & history.rows.keys()
            )
