"""Fleet measures weigh each deployment by its requests."""

from __future__ import annotations

import numpy as np
import pytest

from context_builder.risk.measures.fleet_series import failed_percent, mean_latency_ms
from context_builder.risk.measures.history import MEASURES, Minute
from context_builder.rollups.span import moment_of


def minute(number: int, *deployments: tuple[float, float, float]) -> Minute:
    """Return a minute of deployments, each with its rate, requests in flight and share of errors."""
    measures = np.full((len(deployments), len(MEASURES)), np.nan)
    for place, name in enumerate(("load_rps", "concurrency", "error_share")):
        measures[:, MEASURES.index(name)] = [each[place] for each in deployments]
    return Minute(number, np.arange(len(deployments)), measures)


def test_a_busy_deployment_counts_for_more() -> None:
    """3 requests a second of 1 s and 1 a second of 5 s take 2 s on average; so do failures."""
    minutes = [minute(7, (3.0, 3.0, 0.0), (1.0, 5.0, 0.4))]
    ((moment, latency),), ((_, failed),) = mean_latency_ms(minutes), failed_percent(minutes)
    assert moment == moment_of(7)
    assert latency == pytest.approx(2_000.0)
    assert failed == pytest.approx(10.0)


def test_minutes_without_requests_are_left_out() -> None:
    """They have no latency; a deployment without any has no part in those of the others."""
    minutes = [minute(1, (0.0, 0.0, np.nan)), minute(2), minute(3, (2.0, 1.0, 0.5), (0.0, 0.0, np.nan))]
    ((moment, latency),), ((_, failed),) = mean_latency_ms(minutes), failed_percent(minutes)
    assert moment == moment_of(3)
    assert latency == pytest.approx(500.0)
    assert failed == pytest.approx(50.0)
