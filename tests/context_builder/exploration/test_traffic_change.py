"""Only where every change is one of the traffic nothing is broken."""

from __future__ import annotations

from dataclasses import replace

import pytest

from context_builder.exploration.change_point import ChangePoint
from context_builder.exploration.requests.like_for_like import LikeForLike
from context_builder.exploration.requests.retries import Retries
from context_builder.exploration.series.metric import Metric
from context_builder.exploration.traffic_change import apart, traffic_changes
from tests.context_builder.exploration.test_change_point import shift
from tests.support.gateway import HOUR, NOON

FAILURES = shift()
MORE = replace(shift(), metric=Metric.VOLUME, after=3.0, before=1.0)
FEWER = replace(MORE, after=0.2, counted=20.0)
EARLIER = NOON - 9 * HOUR
SLOWER = replace(shift(), metric=Metric.LATENCY, after=2.0, before=1.0)
DEARER = replace(shift(), metric=Metric.COST, after=3.0, before=1.0)
WORSE = replace(shift(), metric=Metric.QUALITY, after=0.6, before=0.8)
OTHERS = LikeForLike(1.05, 2.0, 500.0)
SAME = LikeForLike(2.0, 1.05, 500.0)


@pytest.mark.parametrize(
    ("shifts", "is_traffic"),
    [
        ([MORE], True),
        ([MORE, FEWER], True),
        ([replace(SLOWER, mix=OTHERS), replace(DEARER, mix=OTHERS)], True),
        ([MORE, replace(FAILURES, after=0.0)], True),
        ([MORE, replace(WORSE, after=0.9)], True),
        ([], False),
        ([MORE, FAILURES], False),
        ([MORE, WORSE], False),
        ([FEWER], False),
        ([MORE, replace(FEWER, onset=EARLIER, earliest=EARLIER, latest=EARLIER)], False),
        ([MORE, replace(FEWER, counted=0.0, after=0.0, expected_per_hour=30.0)], False),
        ([replace(MORE, retries=Retries(0.5, "429"))], False),
        ([replace(SLOWER, mix=SAME)], False),
        ([SLOWER], False),
        ([replace(DEARER, mix=SAME)], False),
        ([DEARER], False),
    ],
)
def test_nothing_is_broken_if_only_the_traffic_changed(
    shifts: list[ChangePoint], *, is_traffic: bool
) -> None:
    """Not with failures, worse answers, missing requests, or like requests that take or cost more."""
    assert bool(traffic_changes(shifts)) is is_traffic


KNOWN = replace(FEWER, known_as="as on a weekend")
LATER = NOON + HOUR


@pytest.mark.parametrize(
    ("shifts", "harmless"),
    [
        ([KNOWN], [KNOWN]),
        ([replace(SLOWER, mix=OTHERS)], [replace(SLOWER, mix=OTHERS)]),
        ([MORE], []),
        ([replace(DEARER, mix=OTHERS)], []),
        ([KNOWN, MORE], [KNOWN]),
        ([KNOWN, FAILURES], []),
        ([KNOWN, replace(FAILURES, onset=LATER, earliest=LATER, latest=LATER)], []),
        ([KNOWN, replace(FAILURES, onset=EARLIER, earliest=EARLIER, latest=EARLIER)], [KNOWN]),
        ([KNOWN, replace(SLOWER, mix=SAME)], []),
    ],
)
def test_known_traffic_is_apart_unless_requests_fare_worse_since(
    shifts: list[ChangePoint], harmless: list[ChangePoint]
) -> None:
    """An outage lowers the volume too, and a launch may overload: then both are told."""
    rest, found = apart(shifts)
    assert found == harmless
    assert rest == [one for one in shifts if one not in harmless]
