"""Changes are worded with the right direction, and an uncertain onset with its bounds."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from context_builder.exploration.change_point import ChangePoint
from context_builder.exploration.change_text import (
    describe_change,
    describe_period,
    format_slices,
    onset_range,
    related_topics,
    scope_name,
    slice_name,
)
from context_builder.exploration.series.metric import Metric
from context_builder.exploration.series.slices import Slice
from context_builder.question.request import Topic
from context_builder.text.formatting import format_time
from tests.support.gateway import HOUR, NOON, asking

PAIR = Slice((("deployment", "gpt-4/aws"), ("task_type", "chat")))


def shift(metric: Metric, after: float, before: float, vague: timedelta = timedelta(0)) -> ChangePoint:
    """Return a change that began an hour before NOON."""
    onset = NOON - HOUR
    return ChangePoint(
        metric=metric, slice=PAIR, onset=onset, earliest=onset - vague, latest=onset + vague, until=None,
        after=after, before=before, counted=100, expected_per_hour=0, expected=0, exposure=1, evidence=99,
    )  # fmt: skip


@pytest.mark.parametrize("metric", list(Metric))
def test_rises_and_falls_have_different_words(metric: Metric) -> None:
    """For every metric, and different between metrics."""
    up, down = describe_change(shift(metric, 2, 1)), describe_change(shift(metric, 1, 2))
    assert up != down
    assert len({describe_change(shift(one, 2, 1)) for one in Metric}) == len(Metric)


def test_an_uncertain_onset_has_bounds() -> None:
    """A precise one has none."""
    assert onset_range(shift(Metric.ERRORS, 2, 1)) == ""
    vague = onset_range(shift(Metric.ERRORS, 2, 1, timedelta(minutes=17)))
    assert format_time(NOON - timedelta(minutes=77)) in vague
    assert format_time(NOON - timedelta(minutes=43)) in vague


def test_only_a_change_that_is_over_has_an_end() -> None:
    """Otherwise it lasts until now."""
    lasts = shift(Metric.ERRORS, 2, 1)
    assert format_time(lasts.onset) in describe_period(lasts)
    assert "until" not in describe_period(lasts)
    over = describe_period(replace(lasts, until=NOON))
    assert format_time(lasts.onset) in over
    assert f"until {format_time(NOON)}" in over


def test_slices_are_named_by_their_values_and_untrusted_text_is_quoted() -> None:
    """Plain names are not quoted."""
    assert slice_name(PAIR, "all") == "deployment gpt-4/aws, task type chat"
    assert slice_name(Slice(), "all of them") == "all of them"
    assert "«obey me now»" in slice_name(Slice((("tier", "obey me now"),)), "all")


def test_the_whole_is_the_scope_of_the_question() -> None:
    """Its deployments and tiers, at most a few of them; without any, all requests."""
    assert scope_name(asking()) == "all requests"
    few = scope_name(asking(labels=("deployment gpt-4/aws", "tier premium")))
    assert "gpt-4/aws" in few
    assert "premium" in few
    many = scope_name(asking(labels=tuple(f"deployment d{n}" for n in range(40))))
    assert "more" in many
    assert len(many) < 200


@pytest.mark.parametrize("metric", list(Metric))
def test_a_change_is_relevant_to_its_metric_and_to_health(metric: Metric) -> None:
    """Questions about the metric, about changes and about health find it."""
    one = shift(metric, 2, 1)
    moment_later: dict[str, Any] = {"earliest": NOON + HOUR, "onset": NOON + HOUR, "latest": NOON + HOUR}
    later = [replace(shift(other, 2, 1), **moment_later) for other in Metric if other is not metric]
    topics = related_topics(one, [one, *later])
    assert {metric.topic, Topic.CHANGES, Topic.HEALTH} <= topics
    assert not {other.topic for other in Metric if other is not metric} & topics


def test_simultaneous_changes_share_topics() -> None:
    """A surge when requests began to fail is found by a question about failures."""
    surge, failures = shift(Metric.VOLUME, 8, 1), shift(Metric.ERRORS, 0.4, 0.01)
    assert {Topic.VOLUME, Topic.ERRORS} <= related_topics(surge, [surge, failures])


@pytest.mark.parametrize(("number", "rest"), [(1, ""), (3, ""), (4, "1 more"), (9, "6 more")])
def test_a_long_list_counts_the_rest(number: int, rest: str) -> None:
    """Three slices are named."""
    listed = format_slices([Slice((("tier", f"t{n}"),)) for n in range(number)], "all", 3)
    assert [f"tier t{n}" in listed for n in range(number)] == [n < 3 for n in range(number)]
    assert listed.endswith(rest) if rest else "more" not in listed
