"""What really happened: every logged request of a scenario, counted independently of the product."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

import numpy as np

from tests.evaluation.traffic import Sent, Slice
from tests.evaluation.world import HOUR, MINUTE

FEWEST = 15
"""A side with fewer requests has no figures of its own."""
NOTABLE = 1.4
"""From this factor on a figure shows a change."""
_WORSE = 0.06
"""A drop of mean quality that shows a change."""

Span = tuple[datetime, datetime]


class Metric(StrEnum):
    """What a symptom shows itself in."""

    ERRORS = "errors"
    LATENCY = "latency"
    VOLUME = "volume"
    QUALITY = "quality"


class Unit(StrEnum):
    """What a number in a line counts."""

    PERCENT = "percent"
    MILLISECONDS = "milliseconds"
    TIMES = "times"
    DOLLARS = "dollars"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that would be right, and how far off it may be."""

    unit: Unit
    value: float
    tolerance: float = 0.15
    """Relative."""
    label: str = ""
    """A percentile that it belongs to; a number in a line that has another label is not it."""
    noun: str = ""
    """A pattern that must follow the number: what it counts."""

    def admits(self, value: float) -> bool:
        """Whether a stated number is this one."""
        return abs(value - self.value) <= self.tolerance * abs(self.value) + 1e-9


class Ledger:
    """All requests of a scenario by time."""

    def __init__(self, requests: Sequence[Sent], as_of: datetime) -> None:
        self.requests = sorted(requests, key=lambda sent: sent.moment)
        self.as_of = as_of
        self._moments = [sent.moment for sent in self.requests]

    @property
    def start(self) -> datetime:
        """The first request."""
        return self._moments[0]

    def select(self, where: Slice, span: Span) -> list[Sent]:
        """The requests of a slice in [start, end)."""
        first, last = (bisect_left(self._moments, moment) for moment in span)
        return [sent for sent in self.requests[first:last] if where.holds(sent)]

    def figures(self, metric: Metric, where: Slice, affected: Span, window: Span) -> list[Figure]:
        """Numbers that state how a metric changed: what it became, and how many times what it was.

        Of the time since the onset, of its later half, and of the window asked about, each only where a
        change shows in it: a number that would be as right on an ordinary day says nothing.
        """
        # A router version that is new has no past of its own.
        before = self._side(replace(where, router_version=""), (self.start, affected[0]))
        halfway = affected[0] + (affected[1] - affected[0]) / 2
        spans = [affected, (affected[0], self.as_of), (halfway, affected[1]), window]
        sides = [self._side(where, span) for span in dict.fromkeys(spans)]
        return [figure for side in sides for figure in _CHANGE[metric](side, before)]

    def _side(self, where: Slice, span: Span) -> Side:
        return Side(self.select(where, span), max((span[1] - span[0]) / HOUR, 1 / 60))


@dataclass(frozen=True, slots=True)
class Side:
    """Requests before or after."""

    requests: Sequence[Sent]
    hours: float

    @property
    def share_failed(self) -> float:
        """Of its requests."""
        return sum(sent.failed for sent in self.requests) / len(self.requests)

    @property
    def scores(self) -> list[float]:
        """That have arrived."""
        return [sent.score for sent in self.requests if sent.score is not None]


def _times(now: float, before: float) -> list[Figure]:
    return [Figure(Unit.TIMES, now / before, 0.25)] if before else []


_FAILURES = r"of \d|failed|failures?|errors?|timeouts?|rate.limited|times\b"
_REQUESTS = r"(?:failed |refused |rejected )?(?:requests?\b|calls?\b|\()"
_PER_HOUR = r"(?:requests? )?(?:per|an|a|each) hour|/ ?h\b"


def _errors(now: Side, before: Side) -> list[Figure]:
    if min(len(now.requests), len(before.requests)) < FEWEST:
        return []
    share = now.share_failed
    if share < NOTABLE * max(before.share_failed, 0.005):
        return []
    failed = [sent for sent in now.requests if sent.failed]
    of_code = max(Counter(sent.code for sent in failed).values())
    found = [Figure(Unit.PERCENT, 100 * part / len(now.requests)) for part in (len(failed), of_code)]
    found += [
        Figure(Unit.PLAIN, part, 0.05, noun=_FAILURES) for part in (len(failed), of_code) if part >= FEWEST
    ]
    return [*found, *_times(share, before.share_failed)]


def _latency(now: Side, before: Side) -> list[Figure]:
    found: list[Figure] = []
    for answered_only in (False, True):
        new, old = (
            [sent.latency_ms for sent in side.requests if not (answered_only and sent.failed)]
            for side in (now, before)
        )
        if min(len(new), len(old)) < FEWEST:
            continue
        for label, measure in _MEASURES.items():
            became, was = measure(new), measure(old)
            if became >= NOTABLE * was:
                found += [Figure(Unit.MILLISECONDS, became, 0.12, label), *_times(became, was)]
    return found


_MEASURES: dict[str, Callable[[Sequence[int]], float]] = {
    "p50": lambda values: float(np.percentile(values, 50)),
    "p90": lambda values: float(np.percentile(values, 90)),
    "p95": lambda values: float(np.percentile(values, 95)),
    "mean": lambda values: float(np.mean(values)),
}


def _volume(now: Side, before: Side) -> list[Figure]:
    rate, usual = len(now.requests) / now.hours, len(before.requests) / before.hours
    if usual and 1 / NOTABLE < rate / usual < NOTABLE:
        return []
    counts = [
        Figure(Unit.PLAIN, len(now.requests), 0.05, noun=_REQUESTS),
        Figure(Unit.PLAIN, rate, noun=_PER_HOUR),
    ]
    return [*counts, Figure(Unit.TIMES, rate / usual, 0.35)] if usual else counts


def _quality(now: Side, before: Side) -> list[Figure]:
    if min(len(now.scores), len(before.scores)) < FEWEST:
        return []
    became, was = float(np.mean(now.scores)), float(np.mean(before.scores))
    if was - became < _WORSE:
        return []
    return [Figure(Unit.PLAIN, became, 0.05), Figure(Unit.PLAIN, was - became, 0.2)]


_CHANGE: dict[Metric, Callable[[Side, Side], list[Figure]]] = {
    Metric.ERRORS: _errors,
    Metric.LATENCY: _latency,
    Metric.VOLUME: _volume,
    Metric.QUALITY: _quality,
}

TOLERANCE = 15 * MINUTE
"""How far a stated onset may lie from the true one."""
