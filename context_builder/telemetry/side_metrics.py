"""The metrics by which the sides of a question are compared: what they are made of, and their words. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from context_builder.question.request import Topic
from context_builder.telemetry.chance import Chance, Ratio, chance_of
from context_builder.telemetry.side_figures import Measure, SideFigures
from context_builder.text.formatting import (
    format_count,
    format_dollars,
    format_duration,
    format_milliseconds,
    format_percent,
)
from models.quality_log import MILLION
from models.tables.schema import NANO

_TENTH_OF_A_POINT = 0.0005
"""Share that reads `0.1 points`."""

Pair = tuple[SideFigures, SideFigures]


@dataclass(frozen=True)
class SideMetric:
    """One thing by which sides are compared: a ratio of sums, or a percentile of the latency."""

    name: str
    topic: Topic
    importance: float
    more: str
    """What the side with the higher value is or does, in words."""
    mass: Measure
    weight: Measure
    """What there must be some of for the metric to be known."""
    show: Callable[[SideFigures], str]
    basis: Callable[[SideFigures], str]
    """The numbers that the shown one is made of."""
    difference: Callable[[float], str]
    """Words a difference without its sign."""
    percentile: int | None = None
    only_if_any: bool = False
    """True if a value of 0 on every side goes without saying."""

    def shown(self, figures: SideFigures) -> str:
        """Return the value with the numbers that it is made of."""
        return f"{self.show(figures)} ({self.basis(figures)})"

    def is_known(self, figures: SideFigures) -> bool:
        """Return whether the side has data of this metric."""
        if figures.of_users and self.topic not in (Topic.VOLUME, Topic.COST):
            return False
        return bool(figures.latency.total if self.percentile else figures.total(self.weight))

    def value(self, figures: SideFigures) -> float:
        """Return the value of a side, which must be known."""
        if self.percentile:
            return figures.latency.quantile(self.percentile / 100) or 0.0
        return figures.total(self.mass) / figures.total(self.weight)

    def chance(self, pair: Pair, *, paired: bool) -> Chance:
        """Test the difference of two sides, of a percentile by the share of requests above the lower one."""
        if self.percentile:
            limit = min(map(self.value, pair))
            one, other = (
                Ratio(
                    np.array([float(block.above(limit)) for block in side.latencies]),
                    np.array([float(block.total) for block in side.latencies]),
                )
                for side in pair
            )
        else:
            one, other = (Ratio(side.by_block(self.mass), side.by_block(self.weight)) for side in pair)
        return chance_of(one, other, paired=paired)


def _per_hour(figures: SideFigures, total: Decimal) -> Decimal:
    return total * 60 / figures.total(Measure.MINUTES)


def _in_all(figures: SideFigures, total: str) -> str:
    return f"{total} in {format_length(figures)}"


def format_length(figures: SideFigures) -> str:
    """Return for how long a side was recorded: `7 d`, `6 d 12 h`."""
    return format_duration(figures.recorded).removesuffix(" 0 h").removesuffix(" 0 min")


def _share(name: str, importance: float, more: str, mass: Measure) -> SideMetric:
    return SideMetric(
        name, Topic.ERRORS, importance, more, mass, Measure.REQUESTS,
        lambda side: format_percent(side.total(mass), side.total(Measure.REQUESTS)),
        lambda side: f"{side.total(mass):,} of {side.total(Measure.REQUESTS):,}",
        lambda by: f"{100 * by:.1f} points" if by >= _TENTH_OF_A_POINT else "<0.1 points",
        only_if_any=mass is not Measure.FAILED,
    )  # fmt: skip


def _percentile(percentile: int, importance: float) -> SideMetric:
    return SideMetric(
        f"p{percentile} latency", Topic.LATENCY, importance, "is slower", Measure.REQUESTS, Measure.REQUESTS,
        lambda side: format_milliseconds(side.latency.quantile(percentile / 100) or 0.0),
        lambda side: format_count(side.latency.total, "timed request"),
        format_milliseconds,
        percentile,
    )  # fmt: skip


METRICS = (
    SideMetric(
        "requests", Topic.VOLUME, 1.0, "has more", Measure.REQUESTS, Measure.MINUTES,
        lambda side: f"{_per_hour(side, Decimal(side.total(Measure.REQUESTS))):,.1f} per hour",
        lambda side: _in_all(side, f"{side.total(Measure.REQUESTS):,}"),
        lambda by: f"{60 * by:,.1f} per hour",
    ),
    _share("error rate", 1.0, "fails more often", Measure.FAILED),
    _share("timeouts", 0.9, "times out more often", Measure.TIMEOUTS),
    _share("rate-limited requests", 0.9, "is rate-limited more often", Measure.RATE_LIMITED),
    _percentile(95, 1.0),
    _percentile(50, 0.95),
    _percentile(99, 0.85),
    SideMetric(
        "cost", Topic.COST, 1.0, "costs more", Measure.NANO_USD, Measure.MINUTES,
        lambda side: f"{format_dollars(_per_hour(side, side.cost_usd))} per hour",
        lambda side: _in_all(side, format_dollars(side.cost_usd)),
        lambda by: f"{format_dollars(Decimal(60 * by) / NANO)} per hour",
    ),
    SideMetric(
        "cost per request", Topic.COST, 0.95, "is dearer per request", Measure.NANO_USD, Measure.REQUESTS,
        lambda side: format_dollars(side.cost_usd / side.total(Measure.REQUESTS)),
        lambda side: format_count(side.total(Measure.REQUESTS), "request"),
        lambda by: format_dollars(Decimal(by) / NANO),
    ),
    SideMetric(
        "mean quality", Topic.QUALITY, 1.0, "is better", Measure.SCORE_MILLIONTHS, Measure.SCORES,
        lambda side: f"{side.total(Measure.SCORE_MILLIONTHS) / side.total(Measure.SCORES) / MILLION:.3f}",
        lambda side: format_count(side.total(Measure.SCORES), "score"),
        lambda by: f"{by / MILLION:.3f}",
    ),
)  # fmt: skip
