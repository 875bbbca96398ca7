"""Measures of the whole fleet, minute by minute, weighted by requests. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import numpy as np

from context_builder.risk.measures.history import MEASURES, Minute
from context_builder.rollups.span import moment_of

_LOAD, _CONCURRENCY, _ERRORS = (MEASURES.index(name) for name in ("load_rps", "concurrency", "error_share"))

FleetSeries = list[tuple[datetime, float]]


def mean_latency_ms(minutes: Iterable[Minute]) -> FleetSeries:
    """Return the mean latency of each minute with requests, by Little's law."""
    return _ratios(minutes, _CONCURRENCY, 1_000.0)


def failed_percent(minutes: Iterable[Minute]) -> FleetSeries:
    """Return the share of requests that failed of each minute with requests, in percent."""
    return _ratios(minutes, _ERRORS, 100.0)


def _ratios(minutes: Iterable[Minute], measure: int, factor: float) -> FleetSeries:
    found: FleetSeries = []
    for minute in minutes:
        load, values = minute.measures[:, _LOAD], minute.measures[:, measure]
        if measure == _ERRORS:
            values = values * load
        total = float(np.nansum(load))
        if total > 0:
            found.append((moment_of(minute.number), factor * float(np.nansum(values)) / total))
    return found
