"""What is far from usual is noticed once, with its name, and what is usual is not."""

from __future__ import annotations

import numpy as np

from context_builder.risk.forecast.anomaly import NOTABLE_SCORE, REFRACTORY, SHOWN, Anomalies
from context_builder.risk.measures.series_table import Floats


def alarms(values: Floats) -> tuple[Anomalies, list[int]]:
    """The steps at which a new alarm was raised."""
    anomalies = Anomalies(values.shape[1])
    anomalies.table.grow(1)
    raised = []
    for place, row in enumerate(values):
        anomalies.step(row[None, :], place)
        if anomalies.table["alarm"][0] == place:
            raised.append(place)
    return anomalies, raised


def calm(steps: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(100, 5, (steps, 3))


def test_noise_raises_hardly_an_alarm() -> None:
    """Ten thousand steps of three normal measures raise none."""
    assert alarms(calm(10_000))[1] == []


def test_the_measure_that_is_off_is_named() -> None:
    """A jump of one measure raises one alarm, of that measure, and is shown for SHOWN steps."""
    values = calm(500)
    values[400, 1] = 200
    anomalies, raised = alarms(values[: 400 + SHOWN])
    assert raised == [400]
    assert anomalies.measures()[0] == 1
    assert anomalies.shown(400 + SHOWN - 1)[0]
    assert not anomalies.shown(400 + SHOWN)[0]


def test_an_alarm_is_not_repeated() -> None:
    """While a level stays off, only a higher score raises another alarm before REFRACTORY has passed."""
    values = calm(700)
    values[400 : 400 + REFRACTORY - 5, 1] += 60
    _, raised = alarms(values)
    assert raised[0] == 400
    assert len(raised) <= 2


def test_a_measure_that_never_varied_is_off_with_its_first_change() -> None:
    """A share of errors that was always 0 is noticed at its first value."""
    values = np.zeros((200, 1))
    values[150] = 0.05
    anomalies, raised = alarms(values)
    assert raised == [150]
    assert anomalies.table["height"][0] > NOTABLE_SCORE


def test_a_missing_value_is_no_anomaly() -> None:
    """NaN has a score of 0 and moves nothing."""
    values = calm(300)
    values[100:200] = np.nan
    assert alarms(values)[1] == []
