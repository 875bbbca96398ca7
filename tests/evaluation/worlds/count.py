"""Figures of a slice, counted from its requests; nothing of the product takes part."""

from __future__ import annotations

import numpy as np

from tests.evaluation.worlds.calls import Calls, Mask
from tests.evaluation.worlds.gateway import Slice
from tests.evaluation.worlds.plan import TrueChange

_FEW = 5


def count(metric: str, calls: Calls, where: Slice, begin: float, end: float) -> tuple[float, ...]:
    """The usual figures of a metric; of latency the median and the 95th percentile. NaN: too few calls."""
    return _figures(metric, calls, calls.within(where, begin, end))


def _figures(metric: str, calls: Calls, chosen: Mask) -> tuple[float, ...]:
    if metric == "volume":
        return (float(chosen.sum()),)
    if metric == "cost":
        return (float(calls.cost_usd[chosen].sum()),)
    if metric == "errors":
        return (float(calls.failed[chosen].mean()),) if chosen.sum() >= _FEW else (np.nan,)
    if metric == "quality":
        scores = calls.score[chosen & ~np.isnan(calls.score)]
        return (float(scores.mean()),) if len(scores) >= _FEW else (np.nan,)
    answered = calls.latency_ms[chosen & ~calls.failed]
    if len(answered) < _FEW:
        return (np.nan, np.nan)
    return (float(np.median(answered)), float(np.percentile(answered, 95)))


def sizes(
    metric: str, calls: Calls, usual: Calls, where: Slice, begin: float, end: float
) -> tuple[float, ...]:
    """By how much a slice differs from what would have been: as the size of a `TrueChange`."""
    now = count(metric, calls, where, begin, end)
    before = count(metric, usual, where, begin, end)
    if metric == "errors":
        return now
    if metric == "quality":
        return tuple(a - b for a, b in zip(now, before, strict=True))
    return tuple(a / b if b else np.nan for a, b in zip(now, before, strict=True))


def size_of(change: TrueChange, calls: Calls, usual: Calls, now: float) -> float:
    """The size of a change as it is in the requests, where it is on; a ramp's on average."""
    begin, end = change.begin[0] + 300, change.end or now
    every, length = change.turns
    on = calls.at % every < length, usual.at % every < length
    if every != length:
        chosen = calls.within(change.where, begin, end) & on[0]
        return _figures(change.metric, calls, chosen)[0]
    if change.metric == "latency":
        logs = (np.log(c.latency_ms[c.within(change.where, begin, end) & ~c.failed]) for c in (calls, usual))
        return float(np.exp(np.mean(next(logs)) - np.mean(next(logs))))
    return sizes(change.metric, calls, usual, change.where, begin, end)[0]
