"""Notices that forecasts have become worse than they were, which asks for a training and for nothing else."""

from __future__ import annotations

import numpy as np
from river.drift import PageHinkley

from context_builder.risk.measures.series_table import Floats

THRESHOLD = 20.0
"""Sum of excess errors, in units of the usual error, that is a drift."""
MIN_MINUTES = 120
MAX_ERROR = 10.0
"""Beyond it an error counts as this: one outage is no drift."""


class DriftMonitor:
    """Page-Hinkley's test on the mean standardized error of all deployments, minute by minute."""

    def __init__(self) -> None:
        self._test = self._fresh()

    @staticmethod
    def _fresh() -> PageHinkley:
        return PageHinkley(min_instances=MIN_MINUTES, delta=0.05, threshold=THRESHOLD, mode="up")

    def update(self, errors: Floats) -> bool:
        """Take in the errors of a minute, in units of their spread; return whether to train again."""
        known = np.abs(errors[np.isfinite(errors)])
        if not len(known):
            return False
        self._test.update(float(np.minimum(known, MAX_ERROR).mean()))  # type: ignore[no-untyped-call]
        drifted = bool(self._test.drift_detected)
        if drifted:
            self._test = self._fresh()
        return drifted
