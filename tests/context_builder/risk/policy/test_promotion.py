"""Promotion: granted to forecasts that earned it on the last day, refused otherwise, with the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from context_builder.risk.policy.promotion import MaturedForecast, check_goals, refusal_of

START = datetime(2026, 11, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def day(minutes: int = 24 * 60) -> list[MaturedForecast]:
    """Return a day of good forecasts of two deployments, with a breach each four hours."""
    rows = []
    for name in ("a", "b"):
        for number in range(minutes):
            breached = number % 240 >= 230
            warned = number % 240 >= 231
            rows.append(
                MaturedForecast(
                    deployment=name,
                    made_at=START + number * MINUTE,
                    due_at=START + (number + 5) * MINUTE,
                    now_ms=100.0,
                    expected_ms=115.0,
                    outcome_ms=120.0,
                    probability=0.9 if warned else 0.05,
                    breached=breached,
                )
            )
    return rows


def test_good_forecasts_of_a_day_are_promoted() -> None:
    """Every goal holds, and there is nothing to refuse."""
    checks = check_goals(day())
    assert all(each.holds for each in checks), checks
    assert refusal_of(checks) == ""


Spoil = Callable[[MaturedForecast], MaturedForecast]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda row: replace(row, expected_ms=row.now_ms), "skill: mean 0.00 of at least 0.15"),
        (lambda row: replace(row, expected_ms=102.0), "skill: mean 0.10 of at least 0.15"),
        (
            lambda row: replace(row, expected_ms=90.0) if row.deployment == "a" else row,
            "skill: mean 0.12 of at least 0.15, lowest -0.50",
        ),
        (lambda row: replace(row, expected_ms=None), "skill: no deployment has 100 matured forecasts"),
        (lambda row: replace(row, probability=0.7), "Brier skill: lowest -"),
        (lambda row: replace(row, breached=False), "warnings: there was no breach to be warned of"),
        (lambda row: replace(row, probability=0.5), "warnings: 0 of 12 breaches warned of"),
        (
            lambda row: replace(row, probability=0.9) if row.made_at.minute % 20 == 0 else row,
            "false alarms a day and deployment, at most 6",
        ),
        (
            lambda row: replace(row, probability=0.05) if row.made_at.minute % 10 < 4 else row,
            "median lead 1.0 of 2 min",
        ),
    ],
)
def test_each_goal_that_fails_is_named_with_its_figures(spoil: Spoil, said: str) -> None:
    """Someone who wants to promote reads what is missing."""
    refusal = refusal_of(check_goals([spoil(row) for row in day()]))
    assert refusal.startswith("promotion is refused: ")
    assert said in refusal


def test_two_hours_at_either_end_are_no_day() -> None:
    """A service that was off in between has not shown what it does in a day."""
    ends = [row for row in day() if not 60 <= (row.made_at - START) / MINUTE < 23 * 60]
    assert "they cover 2.0 of 24 h" in refusal_of(check_goals(ends))


def test_deployments_that_say_nothing_hide_no_false_alarms() -> None:
    """They are not counted among those that the alarms are spread over."""
    noisy = [
        replace(row, probability=0.9) if row.made_at.minute % 20 == 0 else row
        for row in day()
        if row.deployment == "a"
    ]
    silent = [replace(row, deployment=f"s{n}", probability=None) for n in range(20) for row in noisy]
    assert "false alarms a day and deployment, at most 6" in refusal_of(check_goals([*noisy, *silent]))


def test_a_short_day_and_no_day_are_refused() -> None:
    """However good the forecasts are."""
    assert refusal_of(check_goals(day(21 * 60))) == (
        "promotion is refused: a day of forecasts: they cover 21.0 of 24 h"
    )
    assert "they cover 0.0 of 24 h" in refusal_of(check_goals([]))
