"""Words change points and slices, in the same way for all sources. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal

from context_builder.exploration.change_point import MAX_RELATED_ONSET_GAP, ChangePoint, onset_gap
from context_builder.exploration.requests.retries import Retries
from context_builder.exploration.series.metric import Metric
from context_builder.exploration.series.slices import Slice
from context_builder.question.form import Noun
from context_builder.question.meaning.scopes import ALL_BUT
from context_builder.question.request import ContextRequest, Topic
from context_builder.text.formatting import (
    format_count,
    format_dollars,
    format_milliseconds,
    format_name,
    format_percent,
    format_ratio,
    format_time,
)

_PRECISE_RANGE = timedelta(minutes=5)
_TRAFFIC_LABELS = ("deployment", "model", "backend", "tier", "user")
_MAX_LABELS = 3
_HOUR_MINUTES = 60
_VERBS = {
    Metric.LATENCY: ("slowed down", "sped up"),
    Metric.ERRORS: ("rose", "fell"),
    Metric.VOLUME: ("rose", "fell"),
    Metric.COST: ("rose", "fell"),
    Metric.QUALITY: ("rose", "dropped"),
}
_NOUNS = {
    Metric.LATENCY: "responses",
    Metric.ERRORS: "failure rate",
    Metric.VOLUME: "request volume",
    Metric.COST: "cost",
    Metric.QUALITY: "quality scores",
}


ANY_CHANGE = frozenset(Topic) - {Topic.HISTORY}
"""A change point is relevant to any question about the present."""


def related_topics(shift: ChangePoint, shifts: Iterable[ChangePoint]) -> frozenset[Topic]:
    """Return the topics a change is relevant to, including those of metrics that changed with it.

    A surge that starts when requests start to fail is relevant to a question about failures.
    """
    together = {one.metric.topic for one in shifts if onset_gap(one, shift) <= MAX_RELATED_ONSET_GAP}
    return frozenset({shift.metric.topic, Topic.CHANGES, Topic.HEALTH, Topic.INCIDENTS, *together})


def scope_name(request: ContextRequest) -> str:
    """Return the traffic in scope in words: `all requests`, `all requests of tier premium`.

    Rollups have no users: a user in scope is represented by the tier.
    """
    labels = [
        f"the tier of {_safe(label)}" if label.startswith("user ") else _safe(label)
        for label in request.scope.labels
        if label.partition(" ")[0] in _TRAFFIC_LABELS or label.startswith(ALL_BUT)
    ]
    if not labels:
        return "all requests"
    rest = f" and {len(labels) - _MAX_LABELS} more" if len(labels) > _MAX_LABELS else ""
    return f"all requests of {', '.join(labels[:_MAX_LABELS])}{rest}"


def _safe(label: str) -> str:
    """Return a label of the scope with the name in it quoted where it is not plain."""
    kind, _, name = label.partition(" ")
    return label if label.startswith(ALL_BUT) else f"{kind} {format_name(name)}"


def slice_name(one: Slice, whole: str) -> str:
    """Return `deployment gpt-4/aws, tier premium`; `whole` for the slice of everything."""
    listed = ", ".join(
        f"{dimension.replace('_', ' ')} {format_name(value)}" for dimension, value in one.values
    )
    return listed or whole


def format_slices(slices: Iterable[Slice], whole: str, most: int) -> str:
    """Return the first `most` names and the number of the others."""
    names = [slice_name(one, whole) for one in slices]
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return "; ".join(names[:most]) + rest


def describe_change(shift: ChangePoint) -> str:
    """Return `failure rate rose`, `responses slowed down`."""
    rose, fell = _VERBS[shift.metric]
    return f"{_NOUNS[shift.metric]} {rose if shift.rose else fell}"


def describe_period(shift: ChangePoint) -> str:
    """Return `since 2026-11-20 08:54`, or `from ... until ...` for a change that is over."""
    if shift.until is None:
        return f"since {format_time(shift.onset)}"
    return f"from {format_time(shift.onset)} until {format_time(shift.until)}"


def is_for_the_worse(shift: ChangePoint) -> bool:
    """Return whether a change is a problem by itself; more or fewer requests are none."""
    if shift.metric is Metric.VOLUME:
        return shift.is_gap
    return shift.rose != (shift.metric is Metric.QUALITY)


def slice_nouns(one: Slice) -> tuple[Noun, ...]:
    """Return what a slice is one of."""
    return tuple(Noun(dimension) for dimension, _ in one.values if dimension in set(Noun))


def rhythm_text(shift: ChangePoint) -> str:
    """Return in which part of each period requests fail, after a semicolon; empty if there is no period."""
    one = shift.rhythm
    if one is None:
        return ""
    failing, otherwise = (format_percent(round(share * 1000), 1000) for share in (one.failing, one.otherwise))
    when = (
        f"at :{one.first:02} to :{(one.first + one.length) % _HOUR_MINUTES:02} of every hour"
        if one.period == _HOUR_MINUTES
        else f"for about {one.length} min of every {one.period} min"
    )
    return f"; they fail {when} ({failing} then, {otherwise} otherwise)"


def mix_text(shift: ChangePoint) -> str:
    """Return what the same requests would take, or cost, now, and what the mix adds, after a semicolon."""
    one = shift.mix
    if one is None:
        return ""
    is_latency = shift.metric is Metric.LATENCY
    verb, level = ("take", format_milliseconds) if is_latency else ("cost", _dollars_each)
    same = one.before * one.same
    text = f"; the same requests would now {verb} {level(same)} (before {level(one.before)})"
    if not one.has_other_mix:
        return text
    does = "adds" if one.mix > 1 else "takes off"
    tokens = " and ".join(f"{name} have {format_ratio(by, 1.0)} the usual tokens" for name, by in one.tokens)
    return f"{text}, the mix {does} {level(abs(one.mix - 1) * same)}{f': {tokens}' if tokens else ''}"


def _dollars_each(value: float) -> str:
    return f"{format_dollars(Decimal(str(value)))} each"


def nothing_broken_text(shifts: Sequence[ChangePoint], whole: str) -> str:
    """Say that only the traffic changed, given these changes of it, and what is as usual."""
    named = {slice_name(one.slice, whole): describe_period(one) for one in reversed(shifts)}
    what = ", ".join(f"{name} ({period})" for name, period in reversed(named.items()))
    same = [
        f"the same requests {'take' if one.metric is Metric.LATENCY else 'cost'} "
        f"{format_ratio(one.mix.same, 1.0)} what they did"
        for one in shifts
        if one.mix is not None
    ]
    usual = "; ".join(["no rise of failures and no drop of quality was found", *dict.fromkeys(same)])
    return f"Nothing is broken: the traffic changed: {what}; {usual}"


def harmless_text(shifts: Sequence[ChangePoint], whole: str) -> str:
    """Return changes that are nothing but other traffic, each reason once."""
    told: dict[str, str] = {}
    for one in shifts:
        users = [each for each in (one.slice, *one.also) if each.value_of("user")]
        why = f" ({one.known_as})" if one.known_as else mix_text(one)
        what = f"{describe_change(one)} {describe_period(one)}, {format_ratio(one.after, 1.0)} normal"
        told.setdefault(why, f"{format_slices(users or [one.slice], whole, _MAX_LABELS)}: {what}{why}")
    return "; ".join(told.values())


def retries_text(shift: ChangePoint, retries: Retries) -> str:
    """Return how many requests repeat failed ones, and the factor of the volume that this makes."""
    number = format_count(round(shift.counted), "request")
    share = format_percent(round(retries.share * 1000), 1000)
    after = f" ({format_name(retries.reason)})" if retries.reason else ""
    return (
        f"{format_ratio(retries.factor, 1.0)} what it was without retries: "
        f"about {share} of {number} repeat failed ones{after}"
    )


def onset_range(shift: ChangePoint) -> str:
    """Return the bounds of the onset in parentheses; empty if they are close."""
    if shift.level_now is not None:
        return f" (gradually: it began between {format_time(shift.earliest)} and {format_time(shift.latest)})"
    if shift.latest - shift.earliest <= _PRECISE_RANGE:
        return ""
    return f" (not before {format_time(shift.earliest)}, not after {format_time(shift.latest)})"
