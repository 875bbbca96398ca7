"""The metrics that are explored, and how large a change an engineer would call one."""

from __future__ import annotations

from enum import StrEnum

from context_builder.question.request import Topic


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
        return abs(after - before) >= MIN_QUALITY_CHANGE
    if metric is Metric.ERRORS:
        high, low = max(after, before), min(after, before)
        return high - low >= MIN_ERROR_CHANGE and high >= MIN_ERROR_RATIO * low
    least = _MIN_RATIO[metric]
    high, low = max(after, before), min(after, before)
    return high > 0 and high >= least * low


MIN_QUALITY_CHANGE = 0.03
MIN_ERROR_CHANGE = 0.02
MIN_ERROR_RATIO = 2.0
MIN_LATENCY_RATIO = 1.25
MIN_VOLUME_RATIO = 2.0
MIN_COST_RATIO = 2.5
"""Of so many dear and cheap requests that a day differs from the next."""
_MIN_RATIO = {
    Metric.LATENCY: MIN_LATENCY_RATIO,
    Metric.VOLUME: MIN_VOLUME_RATIO,
    Metric.COST: MIN_COST_RATIO,
}
