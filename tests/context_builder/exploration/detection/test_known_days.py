"""A day off and the end of a month are known by what came then; an outage is not taken for one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from context_builder.exploration.change_point import ChangePoint
from context_builder.exploration.detection.known_days import AS_ON_A_WEEKEND, known_as
from context_builder.exploration.series.metric import Metric
from context_builder.exploration.series.signal import Floats
from context_builder.exploration.series.slices import Slice
from context_builder.exploration.series.timeline import HOUR, Timeline
from context_builder.exploration.series.traffic import Cells
from context_builder.question.request import Window
from tests.context_builder.exploration.test_change_point import shift
from tests.support.gateway import DAY

THURSDAY = datetime(2026, 4, 30, tzinfo=UTC)
TIMELINE = Timeline.of(Window(THURSDAY + 16 * HOUR - DAY, THURSDAY + 16 * HOUR), 35 * DAY)
USERS = ("ada", "bob")
FELL = replace(
    shift(THURSDAY + HOUR), metric=Metric.VOLUME, after=0.15, before=1.0,
    slice=Slice((("user", "ada"),)), also=(Slice((("user", "bob"),)), Slice()),
)  # fmt: skip
ROSE = replace(FELL, after=3.0, also=())


def office(factor: dict[datetime, float], weekend: float = 0.15) -> Floats:
    """Return counts of an office with 30 requests an hour by day, with factors from moments on for a day."""
    chance = np.random.default_rng(3)
    counts = []
    for start in TIMELINE.starts:
        day = 30.0 if 7 <= start.hour < 18 else 2.0
        day *= weekend if start.weekday() >= 5 else 1.0
        of_day = [by for since, by in factor.items() if since <= start < since.replace(hour=0) + DAY]
        counts.append(day * (of_day[-1] if of_day else 1.0))
    return chance.poisson(np.array(counts) * TIMELINE.hours).astype(float)


def users(*counts: Floats) -> Cells:
    slots, number = TIMELINE.slots, len(counts)
    return Cells(
        TIMELINE, {"user": list(USERS[:number])},
        np.tile(np.arange(slots), number), {"user": np.repeat(np.arange(number), slots)},
        np.concatenate(counts), np.zeros(slots * number), np.concatenate(counts) * 0.001,
    )  # fmt: skip


MIDNIGHT, NINE = {THURSDAY: 0.15}, {THURSDAY + 9 * HOUR: 0.15}


@pytest.mark.parametrize(
    ("counts", "change", "is_day_off"),
    [
        ((office(MIDNIGHT), office(MIDNIGHT)), FELL, True),
        ((office(MIDNIGHT),), replace(FELL, also=()), False),
        ((office({THURSDAY: 0.0}), office({THURSDAY: 0.0})), FELL, False),
        ((office({THURSDAY: 0.5}), office({THURSDAY: 0.5})), FELL, False),
        ((office(MIDNIGHT, weekend=1.0), office(MIDNIGHT, weekend=1.0)), FELL, False),
        (
            (office(NINE), office(NINE)),
            replace(FELL, onset=THURSDAY + 9 * HOUR, earliest=THURSDAY + 9 * HOUR),
            False,
        ),
    ],
)
def test_a_day_off_is_one_of_several_users_from_its_beginning(
    counts: tuple[Floats, ...], change: ChangePoint, *, is_day_off: bool
) -> None:
    """Not of one, of silence, of half the traffic, of who has no weekends, or from the middle of a day."""
    found = known_as(change, users(*counts), TIMELINE.start)
    assert found == (AS_ON_A_WEEKEND if is_day_off else "")


@pytest.mark.parametrize(("earlier", "by", "is_known"), [(30, 3.0, True), (30, 1.3, False), (27, 3.0, False)])
def test_what_rose_at_the_end_of_last_month_is_known(earlier: int, by: float, *, is_known: bool) -> None:
    """By about that factor, on the last day of it, and on no other."""
    counts = office({THURSDAY: 3.0, THURSDAY - earlier * DAY: by})
    found = known_as(ROSE, users(counts), TIMELINE.start)
    assert found == ("as a month before, on 2026-03-31" if is_known else "")


def test_a_quiet_day_a_month_ago_counts_by_its_factor() -> None:
    """On the Tuesday that ended a month fewer requests came, and more than on other Tuesdays."""
    counts = office({THURSDAY: 3.0, THURSDAY - 30 * DAY: 3.0}, weekend=1.0)
    sunday = [
        start.date() == (THURSDAY - 30 * DAY).date() or start.weekday() == 1 for start in TIMELINE.starts
    ]
    counts[np.array(sunday)] = np.round(counts[np.array(sunday)] / 3)
    assert known_as(ROSE, users(counts), TIMELINE.start)


def test_no_rate_is_known_by_a_day() -> None:
    """Failures are never to be expected."""
    failures = replace(FELL, metric=Metric.ERRORS)
    assert not known_as(failures, users(office(MIDNIGHT), office(MIDNIGHT)), TIMELINE.start)
