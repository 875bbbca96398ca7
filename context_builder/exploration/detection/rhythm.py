"""Tells whether failures come and go with a period: at every full hour, eight minutes of every 27. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from context_builder.exploration.series.signal import Floats

_PERIODS = range(10, 121)
"""In minutes."""
_MIN_TURNS = 4
"""Periods that must be seen."""
_MAX_PART = 0.6
"""Of a period: what goes on for longer does not come and go."""
_MIN_EVIDENCE = 40.0
"""A likelihood ratio statistic: a hundred thousand windows of a hundred periods are tried."""
_MAX_REST = 1 / 3
"""Of the share that fails within the window: the most that may fail outside."""
_HOUR = 60
_AS_GOOD = 0.9
"""Of the best evidence: a full hour is the likelier period from here on."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """A part of each period in which requests fail, in minutes."""

    period: int
    first: int
    """Of the part, in minutes after midnight, modulo the period."""
    length: int
    failing: float
    """Share of the requests in that part that fail."""
    otherwise: float


def find_rhythm(start: int, requests: Floats, failed: Floats) -> Rhythm | None:
    """Return the period that separates failures from other requests best, if one clearly does.

    Requests and failed ones by minute, from a moment in minutes after midnight.
    """
    best: tuple[float, Rhythm] | None = None
    for period in _PERIODS:
        if len(requests) < _MIN_TURNS * period:
            break
        evidence, rhythm = _best_of(period, start, requests, failed)
        if period == _HOUR:
            evidence /= _AS_GOOD
        if best is None or evidence > best[0]:
            best = evidence, rhythm
    if best is None or best[0] < _MIN_EVIDENCE or best[1].otherwise > _MAX_REST * best[1].failing:
        return None
    return best[1]


def _best_of(period: int, start: int, requests: Floats, failed: Floats) -> tuple[float, Rhythm]:
    """Return the evidence for the part of a period that differs most from its rest, and it."""
    phase = (start + np.arange(len(requests))) % period
    weight, mass = (
        np.bincount(phase, weights=one, minlength=period).astype(float) for one in (requests, failed)
    )
    lengths = np.arange(2, int(_MAX_PART * period) + 1)
    inside = [_windows(one, lengths) for one in (weight, mass)]
    outside = [float(one.sum()) - part for one, part in zip((weight, mass), inside, strict=True)]
    gain = _likelihood(*inside) + _likelihood(*outside)
    whole = _likelihood(np.array(weight.sum()), np.array(mass.sum()))
    evidence = np.where(inside[1] * outside[0] > outside[1] * inside[0], 2 * (gain - whole), 0.0)
    row, first = np.unravel_index(int(np.argmax(evidence)), evidence.shape)
    failing, otherwise = (
        float(part[1][row, first] / max(part[0][row, first], 1.0)) for part in (inside, outside)
    )
    rhythm = Rhythm(period, int(first), int(lengths[row]), failing, otherwise)
    return float(evidence[row, first]), rhythm


def _windows(values: Floats, lengths: npt.NDArray[np.int64]) -> Floats:
    """Return the sums of all parts of a period: by length, then by their first minute."""
    sums = np.concatenate([np.zeros(1), np.cumsum(np.tile(values, 2))])
    first = np.arange(len(values))
    parts: Floats = sums[first[None, :] + lengths[:, None]] - sums[first][None, :]
    return parts


def _likelihood(weight: Floats, mass: Floats) -> Floats:
    """Return the maximum log likelihood of binomial counts."""
    rest = weight - mass
    total: Floats = _xlogx(mass) + _xlogx(rest) - _xlogx(weight)
    return total


def _xlogx(values: Floats) -> Floats:
    positive = np.maximum(values, 0.0)
    result: Floats = positive * np.log(np.maximum(positive, 1e-300))
    return result
