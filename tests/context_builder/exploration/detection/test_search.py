"""Each fault is told once, by the name that describes it best, and what happens every day is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from context_builder.exploration.change_point import ChangePoint
from context_builder.exploration.detection.search import find_change_points
from context_builder.exploration.series.metric import Metric
from context_builder.exploration.series.signal import Floats
from context_builder.exploration.series.slices import Slice
from context_builder.exploration.series.timeline import HOUR, Timeline
from context_builder.exploration.series.traffic import Cells
from context_builder.question.request import Window
from tests.support.gateway import DAY, MINUTE, NOON, asking

EXPLORED = Timeline.of(Window(NOON - DAY, NOON), 7 * DAY)
HISTORY = Timeline.of(Window(NOON - DAY, NOON), 21 * DAY)
MODELS, BACKENDS, TIERS = ("large", "small"), ("east", "west"), ("budget", "premium")
PARTS = list(product(MODELS, BACKENDS, TIERS))
PER_HOUR = 60.0
Share = Callable[[tuple[str, str, str], Floats], Floats | float]
"""From model, backend and tier, and hours before NOON, to the share of requests that fail, or a factor."""


def as_usual(level: float) -> Share:
    return lambda *_: level


_RARELY, _EVENLY = as_usual(0.01), as_usual(1.0)


def traffic(failing: Share = _RARELY, factor: Share = _EVENLY) -> Cells:
    """Draw three weeks of requests, as many of each part in every hour."""
    chance = np.random.default_rng(4)
    ago = np.array([(NOON - start) / HOUR for start in HISTORY.starts]) - 0.1
    requests = np.concatenate(
        [chance.poisson(PER_HOUR * HISTORY.hours * factor(part, ago)) for part in PARTS]
    )
    share = np.concatenate([np.broadcast_to(failing(part, ago), HISTORY.slots) for part in PARTS])
    failed = chance.binomial(requests, share)
    timed = (requests - failed).astype(float)
    log_sum = timed * 7 + 0.5 * np.sqrt(timed) * chance.standard_normal(len(timed))
    columns = {
        "deployment": [f"{model}/{backend}" for model, backend, _ in PARTS],
        "tier": [tier for _, _, tier in PARTS],
        "model": [model for model, _, _ in PARTS],
        "backend": [backend for _, backend, _ in PARTS],
    }
    names = {dimension: sorted(set(values)) for dimension, values in columns.items()}
    places = {
        dimension: np.repeat([names[dimension].index(value) for value in values], HISTORY.slots)
        for dimension, values in columns.items()
    }
    return Cells(
        HISTORY, names, np.tile(np.arange(HISTORY.slots), len(PARTS)), places,
        requests.astype(float), failed.astype(float), requests * 0.001,
        timed, log_sum, log_sum**2 / np.maximum(timed, 1) + 0.25 * np.maximum(timed - 1, 0),
    )  # fmt: skip


def users(cells: Cells, failing: Floats) -> Cells:
    """Return one user who sends a third of all requests, of which these shares fail."""
    sent = np.round(cells.by_slot(cells.requests) / 3)
    return Cells(
        HISTORY, {"user": ["hal"]},
        np.arange(HISTORY.slots), {"user": np.zeros(HISTORY.slots, dtype=np.int64)},
        sent, np.round(sent * failing), sent * 0.001,
    )  # fmt: skip


def found(cells: Cells, of_users: Cells | None = None) -> list[ChangePoint]:
    return find_change_points(asking(), EXPLORED, cells, of_users, ())


def told(shifts: list[ChangePoint]) -> set[tuple[Metric, tuple[tuple[str, str], ...]]]:
    return {(shift.metric, shift.slice.values) for shift in shifts}


def test_ordinary_weeks_hold_no_change() -> None:
    """Nothing is told of noise."""
    assert found(traffic()) == []


def test_a_failing_backend_is_told_once_by_its_name() -> None:
    """Not by its models, its deployments or its tiers, which fail too, each a little later or less."""
    shifts = found(traffic(lambda part, ago: np.where((ago < 5) & (part[1] == "west"), 0.2, 0.01)))
    assert told(shifts) == {(Metric.ERRORS, (("backend", "west"),))}
    (shift,) = shifts
    assert abs(shift.onset - (NOON - 5 * HOUR)) <= 30 * MINUTE
    assert shift.after == pytest.approx(0.2, rel=0.2)
    assert shift.before == pytest.approx(0.01, rel=0.2)


def test_two_faults_are_told_as_two() -> None:
    """Of different requests at different times, each with its own onset, although their requests overlap."""

    def failing(part: tuple[str, str, str], ago: Floats) -> Floats:
        west = np.where((ago < 9) & (part[1] == "west"), 0.3, 0.01)
        return np.maximum(west, np.where((ago < 3) & (part[:2] == ("small", "east")), 0.5, 0.01))

    shifts = {shift.slice: shift for shift in found(traffic(failing))}
    assert set(shifts) == {Slice((("backend", "west"),)), Slice((("deployment", "small/east"),))}
    for hours, one in zip((9, 3), shifts, strict=True):
        assert abs(shifts[one].onset - (NOON - hours * HOUR)) <= 30 * MINUTE


@pytest.mark.parametrize("is_new", [False, True])
def test_what_fails_at_the_same_hours_every_day_is_no_change(*, is_new: bool) -> None:
    """A limit that is reached from nine to noon each day is usual, and one that is new today is not."""
    shifts = found(
        traffic(
            lambda part, ago: np.where(
                (ago % 24 < 3) & (part[2] == "premium") & ((ago < 24) | (not is_new)), 0.2, 0.01
            )
        )
    )
    assert told(shifts) == ({(Metric.ERRORS, (("tier", "premium"),))} if is_new else set())


def test_requests_that_move_are_told_as_less_here_and_more_there() -> None:
    """By the names of the models, by their factors."""

    def factor(part: tuple[str, str, str], ago: Floats) -> Floats:
        return np.where(ago < 6, 0.1 if part[0] == "large" else 1.9, 1.0)

    shifts = {(shift.metric, shift.slice): shift for shift in found(traffic(factor=factor))}
    volumes = {one: shift for (metric, one), shift in shifts.items() if metric is Metric.VOLUME}
    assert {one.values[0][1]: shift.after for one, shift in volumes.items()} == {
        "large": pytest.approx(0.1, abs=0.05),
        "small": pytest.approx(1.9, abs=0.15),
    }


def test_the_failures_of_one_user_are_told_by_its_name() -> None:
    """All requests of a user fail, so a third of all: the user is what describes it."""
    ago = np.array([(NOON - start) / HOUR for start in HISTORY.starts]) - 0.1
    share = np.where(ago < 4, 1.0, 0.01)
    cells = traffic(lambda _, ago: np.where(ago < 4, 0.34, 0.01))
    shifts = found(cells, users(cells, share))
    assert told(shifts) == {(Metric.ERRORS, (("user", "hal"),))}
    assert shifts[0].after == pytest.approx(1.0, abs=0.15)


def test_a_total_that_goes_with_another_change_needs_less_evidence() -> None:
    """Nearly twice as many requests are told where they began with failures, and not on their own."""
    daily = np.random.default_rng(2).lognormal(0, 0.13, 60)

    def factor(part: tuple[str, str, str], ago: Floats) -> Floats:
        more: Floats = np.where((ago < 4) & (part[2] == "premium"), 1.8, 1.0)
        total: Floats = more * daily[ago.astype(int) // 24]
        return total

    cells = traffic(lambda part, ago: np.where((ago < 4) & (part[2] == "premium"), 0.4, 0.01), factor=factor)
    volume = (Metric.VOLUME, (("tier", "premium"),))
    assert volume in told(found(cells))
    assert volume not in told(found(replace(cells, failed=0 * cells.failed)))
