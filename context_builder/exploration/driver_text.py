"""Words the figures of a driver: after and before the onset, with sample sizes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from context_builder.exploration.attribution import Attribution
from context_builder.exploration.breakdown import LatencyHistograms
from context_builder.exploration.drivers import Driver
from context_builder.exploration.series.metric import Metric
from context_builder.exploration.surroundings import Surroundings
from context_builder.text.formatting import (
    format_count,
    format_dollars,
    format_milliseconds,
    format_name,
    format_percent,
    format_ratio,
)
from models.histogram import Histogram


def surroundings_text(metric: Metric, beside: Surroundings) -> str:
    """Return what is beside a change, each part after a semicolon; empty if there is nothing to say."""
    parts = [
        f"{one.name} {_level_text(metric, one.after)}, before {_level_text(metric, one.before)}"
        for one in beside.neighbours
    ]
    parts += [
        f"meanwhile {format_name(one.deployment)} got {format_count(round(abs(one.excess)), 'request')} "
        f"{'more' if one.excess > 0 else 'fewer'} than expected"
        for one in beside.diverted
    ]
    return "".join(f"; {part}" for part in parts)


def _level_text(metric: Metric, level: float) -> str:
    if metric is Metric.LATENCY:
        return f"typically {format_milliseconds(level)}"
    return f"{format_percent(round(level * 1000), 1000)} failed"


def share_text(driver: Driver) -> str:
    """Return `drives 94.4 % of the change with 27.7 % of the traffic`; an error code `is` that share."""
    part, size = (format_percent(round(one * 1000), 1000) for one in (driver.share, driver.size))
    if driver.slice.value_of("error_code") is not None:
        return f"is {part} of the added failures, {size} of the usual ones"
    return f"drives {part} of the change with {size} of the traffic"


def short_text(attribution: Attribution, driver: Driver) -> str:
    """Return the driver's share of the change and its most telling figures, in few words."""
    share = share_text(driver).partition(" with ")[0]
    latencies = attribution.latencies
    if attribution.shift.metric is not Metric.LATENCY or latencies is None:
        return f"{share}, {figures_text(attribution, driver)}"
    after, before = (_merged(side, driver.cells) for side in (latencies.after, latencies.before))
    if not after.total or not before.total:
        return share
    now, was = (format_milliseconds(side.quantile(0.95) or 0.0) for side in (after, before))
    return f"{share}, p95 {now}, before {was}"


def figures_text(attribution: Attribution, driver: Driver) -> str:
    """Return the driver's figures after and before the onset, with sample sizes."""
    metric, after, before = attribution.shift.metric, driver.after, driver.before
    if metric is Metric.LATENCY and attribution.latencies is not None:
        return _latency_text(attribution.latencies, driver)
    if metric is Metric.QUALITY:
        return (
            f"mean score {1 - after.value:.2f} over {format_count(round(after.weight), 'score')} since then, "
            f"{1 - before.value:.2f} over {format_count(round(before.weight), 'score')} before"
        )
    if metric is Metric.ERRORS:
        return _failures_text(attribution, driver)
    if metric is Metric.COST:
        return _cost_text(attribution, driver)
    expected = before.mass * (attribution.breakdown.exposure or 0.0)
    ratio = f" ({format_ratio(after.mass, expected)})" if expected else ""
    return f"{format_count(round(after.mass), 'request')} since then, {_expected_text(expected)}{ratio}"


def _failures_text(attribution: Attribution, driver: Driver) -> str:
    after, before = driver.after, driver.before
    if driver.slice.value_of("error_code") is not None:
        expected = before.mass * (attribution.breakdown.exposure or 0.0)
        return f"{format_count(round(after.mass), 'failed request')} since then, {_expected_text(expected)}"
    now = f"{_failed_share(after.mass, after.weight)} since then"
    if driver.slice.value_of("user"):
        return f"{now}, {format_percent(round(before.value * 1000), 1000)} usual overall"
    return f"{now}, {_failed_share(before.mass, before.weight)} before"


def _failed_share(failed: float, requests: float) -> str:
    share = format_percent(round(failed), round(requests))
    return f"{round(failed):,} of {format_count(round(requests), 'request')} failed ({share})"


def _expected_text(number: float) -> str:
    return f"{f'about {round(number):,}' if number >= 1 else 'fewer than 1'} expected from prior days"


def _latency_text(latencies: LatencyHistograms, driver: Driver) -> str:
    after, before = (_merged(side, driver.cells) for side in (latencies.after, latencies.before))
    text = f"{_percentiles_text(after)} since then, {_percentiles_text(before)} before"
    if not after.total or not before.total:
        return text
    ratio = format_ratio(after.quantile(0.95) or 0.0, before.quantile(0.95) or 1.0)
    return f"{text}; p95 is {ratio} what it was"


def _merged(histograms: Sequence[Histogram], cells: Sequence[int]) -> Histogram:
    return Histogram.total_of(histograms[cell].counts for cell in cells)


def _percentiles_text(histogram: Histogram) -> str:
    if not histogram.total:
        return "no answered requests"
    p50, p95 = (format_milliseconds(histogram.quantile(q) or 0.0) for q in (0.5, 0.95))
    return f"p50 {p50}, p95 {p95} over {format_count(histogram.total, 'answered request')}"


def _cost_text(attribution: Attribution, driver: Driver) -> str:
    breakdown = attribution.breakdown
    unit = breakdown.unit
    spent = Decimal(str(driver.after.mass * unit))
    expected = Decimal(str(driver.before.mass * (breakdown.exposure or 0.0) * unit))
    ratio = f" ({format_ratio(float(spent), float(expected))})" if expected else ""
    return (
        f"{format_dollars(spent)} for {format_count(round(driver.after.weight), 'request')} since then, "
        f"about {format_dollars(expected)} expected from prior days{ratio}"
    )
