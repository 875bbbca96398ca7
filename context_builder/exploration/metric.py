"""The metrics that are explored, and how large a change an engineer would call one."""

from __future__ import annotations

from enum import StrEnum

from context_builder.request import Topic


class Metric(StrEnum):
    """What can change about requests."""

    LATENCY = "latency"
    ERRORS = "errors"
    VOLUME = "volume"
    COST = "cost"
    QUALITY = "quality"

    @property
    def topic(self) -> Topic:
        """The topic of questions about it."""
        return Topic(self.value)


def is_notable(metric: Metric, after: float, before: float) -> bool:
    """Whether a level differs from another by enough to matter, however certain the difference is.

    Levels are a factor of latency, a share of failed requests, requests or dollars per hour, or a mean score.
    """
    if metric is Metric.QUALITY:
        return abs(after - before) >= LEAST_QUALITY_CHANGE
    if metric is Metric.ERRORS:
        high, low = max(after, before), min(after, before)
        return high - low >= LEAST_ERROR_CHANGE and high >= LEAST_ERROR_RATIO * low
    least = _LEAST_RATIO[metric]
    high, low = max(after, before), min(after, before)
    return high > 0 and high >= least * low


LEAST_QUALITY_CHANGE = 0.03
LEAST_ERROR_CHANGE = 0.02
LEAST_ERROR_RATIO = 2.0
LEAST_LATENCY_RATIO = 1.25
LEAST_VOLUME_RATIO = 2.0
LEAST_COST_RATIO = 2.5
"""Of so many dear and cheap requests that a day differs from the next."""
_LEAST_RATIO = {
    Metric.LATENCY: LEAST_LATENCY_RATIO,
    Metric.VOLUME: LEAST_VOLUME_RATIO,
    Metric.COST: LEAST_COST_RATIO,
}
