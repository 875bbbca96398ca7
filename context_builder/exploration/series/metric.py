"""The metrics that are explored, and the size from which a change matters."""

from __future__ import annotations

from enum import StrEnum

from context_builder.question.request import Topic


class Metric(StrEnum):
    """A metric of requests."""

    LATENCY = "latency"
    ERRORS = "errors"
    VOLUME = "volume"
    COST = "cost"
    QUALITY = "quality"

    @property
    def is_total(self) -> bool:
        """True of sums, which have usual amounts at each hour; false of rates and means."""
        return self in (Metric.VOLUME, Metric.COST)

    @property
    def topic(self) -> Topic:
        """The topic of questions about it."""
        return Topic(self.value)


def is_notable(metric: Metric, after: float, before: float) -> bool:
    """Return whether two levels differ enough to matter, whatever the statistical significance.

    Levels are factors of latency, failure rates, requests or dollars per hour, or mean scores.
    """
    high, low = max(after, before), min(after, before)
    if metric is Metric.QUALITY:
        return high - low >= MIN_QUALITY_CHANGE
    if metric is Metric.ERRORS:
        return high - low >= MIN_ERROR_CHANGE and high >= MIN_ERROR_RATIO * low
    return high > 0 and high >= _MIN_RATIO[metric] * low


MIN_QUALITY_CHANGE = 0.03
MIN_ERROR_CHANGE = 0.02
MIN_ERROR_RATIO = 2.0
MIN_LATENCY_RATIO = 1.25
MIN_VOLUME_RATIO = 1.5
MIN_COST_RATIO = 2.0
"""Higher than for volume, since the mix of cheap and expensive requests varies from day to day."""
_MIN_RATIO = {
    Metric.LATENCY: MIN_LATENCY_RATIO,
    Metric.VOLUME: MIN_VOLUME_RATIO,
    Metric.COST: MIN_COST_RATIO,
}
