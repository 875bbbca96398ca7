"""How a shift and the slices it is found in are put into words: one way for all sources. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from context_builder.exploration.metric import Metric
from context_builder.exploration.shift import Shift
from context_builder.exploration.slices import Slice
from context_builder.figures import moment, named
from context_builder.request import Topic

_PRECISE = timedelta(minutes=5)
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


def topics_of(shift: Shift) -> frozenset[Topic]:
    """Questions that a shift helps with: about its metric, and about how the gateway is."""
    return frozenset({shift.metric.topic, Topic.CHANGES, Topic.HEALTH, Topic.INCIDENTS})


def slice_name(one: Slice) -> str:
    """`deployment gpt-4/aws, tier premium`; `all requests in scope` where nothing restricts it."""
    listed = ", ".join(f"{dimension.replace('_', ' ')} {named(value)}" for dimension, value in one.values)
    return listed or "all requests in scope"


def listed_slices(slices: Iterable[Slice], most: int) -> str:
    """Some names, and how many more there are."""
    names = [slice_name(one) for one in slices]
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return "; ".join(names[:most]) + rest


def happened(shift: Shift) -> str:
    """`requests failed more`, `answers became slower`."""
    rose, fell = _VERBS[shift.metric]
    return f"{_NOUNS[shift.metric]} {rose if shift.rose else fell}"


def began(shift: Shift) -> str:
    """`2026-11-20 08:54`, with the span in which it may have begun where that is long."""
    if shift.latest - shift.earliest <= _PRECISE:
        return moment(shift.onset)
    return f"{moment(shift.onset)} (not before {moment(shift.earliest)}, not after {moment(shift.latest)})"


def lasted(shift: Shift) -> str:
    """Until when."""
    return f"until {moment(shift.until)}" if shift.until else "until the end of the window"
