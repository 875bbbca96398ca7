"""How a shift and the slices it is found in are put into words: one way for all sources. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from context_builder.exploration.change_point import MAX_RELATED_ONSET_GAP, ChangePoint, onset_gap
from context_builder.exploration.series.metric import Metric
from context_builder.exploration.series.slices import Slice
from context_builder.question.request import ContextRequest, Topic
from context_builder.text.formatting import format_name, format_time

_PRECISE_RANGE = timedelta(minutes=5)
_TRAFFIC_LABELS = ("deployment", "model", "backend", "tier", "user")
_MAX_LABELS = 3
_VERBS = {
    Metric.LATENCY: ("became slower", "became faster"),
    Metric.ERRORS: ("failed more", "failed less"),
    Metric.VOLUME: ("grew", "fell"),
    Metric.COST: ("grew", "fell"),
    Metric.QUALITY: ("rose", "dropped"),
}
_NOUNS = {
    Metric.LATENCY: "answers",
    Metric.ERRORS: "requests",
    Metric.VOLUME: "request volume",
    Metric.COST: "cost",
    Metric.QUALITY: "quality scores",
}


ANY_CHANGE = frozenset(Topic) - {Topic.HISTORY}
"""A metric that left its usual level is worth telling whatever is asked about the present."""


def related_topics(shift: ChangePoint, shifts: Iterable[ChangePoint]) -> frozenset[Topic]:
    """Questions that a shift helps with: how the gateway is, its metric, and what changed with it.

    A surge that began when requests began to fail matters to a question about failures.
    """
    together = {one.metric.topic for one in shifts if onset_gap(one, shift) <= MAX_RELATED_ONSET_GAP}
    return frozenset({shift.metric.topic, Topic.CHANGES, Topic.HEALTH, Topic.INCIDENTS, *together})


def scope_name(request: ContextRequest) -> str:
    """All requests that a question is about: `all requests`, `all requests of tier premium`.

    Rollups know no single users: a named one stands for the tier.
    """
    labels = [
        f"the tier of {label}" if label.startswith("user ") else label
        for label in request.scope.labels
        if label.partition(" ")[0] in _TRAFFIC_LABELS
    ]
    if not labels:
        return "all requests"
    rest = f" and {len(labels) - _MAX_LABELS} more" if len(labels) > _MAX_LABELS else ""
    return f"all requests of {', '.join(labels[:_MAX_LABELS])}{rest}"


def slice_name(one: Slice, whole: str) -> str:
    """`deployment gpt-4/aws, tier premium`; `whole` where nothing restricts it."""
    listed = ", ".join(
        f"{dimension.replace('_', ' ')} {format_name(value)}" for dimension, value in one.values
    )
    return listed or whole


def format_slices(slices: Iterable[Slice], whole: str, most: int) -> str:
    """Some names, and how many more there are."""
    names = [slice_name(one, whole) for one in slices]
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return "; ".join(names[:most]) + rest


def describe_change(shift: ChangePoint) -> str:
    """`requests failed more`, `answers became slower`."""
    rose, fell = _VERBS[shift.metric]
    return f"{_NOUNS[shift.metric]} {rose if shift.rose else fell}"


def describe_period(shift: ChangePoint) -> str:
    """`since 2026-11-20 08:54`, or from when until when."""
    if shift.until is None:
        return f"since {format_time(shift.onset)}"
    return f"from {format_time(shift.onset)} until {format_time(shift.until)}"


def onset_range(shift: ChangePoint) -> str:
    """The span in which it may have begun; empty where that is short."""
    if shift.latest - shift.earliest <= _PRECISE_RANGE:
        return ""
    return f" (not before {format_time(shift.earliest)}, not after {format_time(shift.latest)})"
