"""Change points of one event are merged, and independent ones are not."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

from context_builder.exploration.change_point import MIN_GAP_REQUESTS_PER_HOUR, ChangePoint, merge_events
from context_builder.exploration.series.metric import Metric
from context_builder.exploration.series.slices import Slice
from tests.support.gateway import HOUR, MINUTE, NOON


def shift(onset: datetime = NOON - 3 * HOUR, *, evidence: float = 100.0, **values: Any) -> ChangePoint:
    """Return a failure rate that rose from 1 % to 40 %; `deployment` and `tier` define its slice."""
    dimensions = {name: values.pop(name) for name in ("deployment", "tier") if name in values}
    given: dict[str, Any] = {
        "metric": Metric.ERRORS, "until": None, "after": 0.4, "before": 0.01, "counted": 500.0,
        "expected_per_hour": 0.0, "expected": 0.0, "exposure": 1.0,
        "earliest": onset, "latest": onset + 10 * MINUTE,
    }  # fmt: skip
    return ChangePoint(
        slice=Slice(tuple(dimensions.items())), onset=onset, evidence=evidence, **given | values
    )


def test_nested_slices_of_one_moment_are_one_event() -> None:
    """Of a deployment, its premium users and all requests, the clearest represents the event."""
    everything = shift(evidence=200)
    deployment = shift(NOON - 3 * HOUR + 10 * MINUTE, deployment="gpt-4/aws", evidence=900)
    pair = shift(deployment="gpt-4/aws", tier="premium", evidence=300)
    for order in permutations((everything, deployment, pair)):
        (one,) = merge_events(order)
        assert (one.slice, one.onset) == (deployment.slice, deployment.onset)
        assert one.also == (pair.slice, everything.slice)


def test_independent_faults_are_two_events() -> None:
    """Different deployments at different times; the clearest first."""
    one = shift(NOON - 9 * HOUR, deployment="llama/k8s", until=NOON - 8 * HOUR, evidence=300)
    other = shift(NOON - 3 * HOUR, deployment="gpt-4/aws", evidence=900)
    for order in permutations((one, other)):
        assert [found.slice for found in merge_events(order)] == [other.slice, one.slice]
    late = shift(NOON - HOUR, deployment="llama/k8s", evidence=300)
    assert len(merge_events([other, late])) == 2


def test_metrics_and_directions_are_separate_events() -> None:
    """More failures and slower responses are two events, as are a rise and a fall."""
    shifts = [
        shift(),
        shift(metric=Metric.LATENCY, after=3.0, before=1.0),
        shift(after=0.01, before=0.4, deployment="gpt-4/aws"),
    ]
    assert len(merge_events(shifts)) == 3


def test_two_bursts_of_one_slice_are_two_events() -> None:
    """The same slice at another time, after it returned to its baseline."""
    first = shift(NOON - 9 * HOUR, until=NOON - 8 * HOUR)
    second = shift(NOON - 2 * HOUR, until=NOON - timedelta(hours=1))
    assert len(merge_events([first, second])) == 2
    assert merge_events([]) == []


def test_silence_is_a_gap() -> None:
    """Only of requests, only without any at all, and only if many are usual of all users."""
    silent: dict[str, Any] = {"metric": Metric.VOLUME, "after": 0.0, "before": 1.0, "counted": 0.0}
    busy = {**silent, "expected_per_hour": MIN_GAP_REQUESTS_PER_HOUR}
    assert shift(**busy).is_gap
    assert shift(deployment="gpt-4/aws", **busy).is_gap
    assert not shift(tier="premium", **busy).is_gap
    assert not shift(**{**silent, "expected_per_hour": MIN_GAP_REQUESTS_PER_HOUR - 0.1}).is_gap
    assert not shift(**{**busy, "after": 0.1, "counted": 3.0}).is_gap
    assert not shift(**{**busy, "metric": Metric.COST}).is_gap
