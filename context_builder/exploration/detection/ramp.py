"""Tells a level that grows or falls evenly from one that jumped, and when it began to. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from context_builder.exploration.detection.onset import LevelShift
from context_builder.exploration.series.signal import Distribution, Floats, Signal, SignalLevel

_BEFORE_HOURS = 24.0
"""Before a level was clearly away, its ramp may have begun."""
_MIN_HOURS = 2.0
"""Of a ramp: what took less time is a jump."""
_MIN_GAIN = 10.0
"""By how much a ramp must fit better than a jump, in squared standard deviations."""
_RANGE_DROP = 4.0
"""The same, by how much a beginning may fit worse than the likeliest."""
_MAX_LOG = 5.0
"""Of a factor: single answers may be thousands of times slower."""
_MAX_FALL = 0.95


@dataclass(frozen=True, slots=True)
class Ramp:
    """When a level began to drift, in slots, and where it is at the end."""

    earliest: int
    likeliest: int
    latest: int
    level: float
    away: SignalLevel
    """Since the likeliest beginning."""


def find_ramp(signal: Signal, hours: Floats, shift: LevelShift) -> Ramp | None:
    """Return the ramp that fits the way to the end of a run clearly better than any jump, if one does.

    `hours` are the lengths of the slots. A run that has ended is no ramp.
    """
    if shift.end is not None:
        return None
    middle = np.cumsum(hours) - hours / 2
    start = int(np.searchsorted(middle, middle[shift.first] - _BEFORE_HOURS))
    known = np.flatnonzero(signal.weight[start:] > 0) + start
    if len(known) < 4:  # noqa: PLR2004  a level, a beginning, a slope, and one more
        return None
    usual = shift.usual.value
    above, weight = signal.mass[known] / signal.weight[known] - usual, _precision(signal, known, shift)
    at = middle[known]
    is_log = signal.noise.law is Distribution.GAUSSIAN
    jumps = _costs_of_jumps(above, weight)
    ramps, slopes = _costs_of_ramps(above, weight, at)
    if is_log:  # a latency, which grows evenly itself and not its logarithm
        ramps, slopes = _costs_of_factor_ramps(above, weight, at, slopes)
    best = int(np.argmin(ramps))
    unit = max(1.0, float(ramps[best]) / len(known))
    lasted = float(at[-1] - at[best])
    if jumps.min() - ramps[best] < _MIN_GAIN * unit or lasted < _MIN_HOURS:
        return None
    likely = np.flatnonzero(ramps <= ramps[best] + _RANGE_DROP * unit)
    first, grown = int(known[best]), float(slopes[best]) * lasted
    return Ramp(
        earliest=int(known[likely[0]]),
        likeliest=first,
        latest=int(known[likely[-1]]),
        level=usual + (math.log1p(grown) if is_log else grown),
        away=signal.level(first, len(signal)),
    )


def _precision(signal: Signal, known: npt.NDArray[np.int64], shift: LevelShift) -> Floats:
    """Return one over the variance of the level of each slot."""
    if signal.noise.law is Distribution.GAUSSIAN:
        return signal.weight[known] / signal.noise.deviation**2
    share = min(0.95, max(0.01, (shift.away.value + shift.usual.value) / 2))
    return signal.weight[known] / (share * (1 - share))


def _costs_of_jumps(above: Floats, weight: Floats) -> Floats:
    """Return the weighted squared error of a jump at each slot to the level that fits best."""
    later = np.cumsum((weight * above)[::-1])[::-1]
    amount = np.cumsum(weight[::-1])[::-1]
    costs: Floats = float((weight * above**2).sum()) - later**2 / amount
    return costs


def _costs_of_ramps(above: Floats, weight: Floats, at: Floats) -> tuple[Floats, Floats]:
    """Return the weighted squared error of a ramp from each slot, and the slope that fits best."""
    since = np.maximum(at[None, :] - at[:, None], 0.0)
    along = (since * (weight * above)).sum(axis=1)
    square = np.maximum((since**2 * weight).sum(axis=1), 1e-12)
    costs: Floats = float((weight * above**2).sum()) - along**2 / square
    return costs, along / square


def _costs_of_factor_ramps(
    above: Floats, weight: Floats, at: Floats, slopes: Floats
) -> tuple[Floats, Floats]:
    """Return the same of logarithms whose factor grows evenly, in logarithms; `slopes` are first guesses."""
    since = np.maximum(at[None, :] - at[:, None], 0.0)
    guessed = np.exp(np.clip(slopes[:, None] * since, -_MAX_LOG, _MAX_LOG))
    grown, weights = np.exp(np.clip(above, -_MAX_LOG, _MAX_LOG)) - 1, weight / guessed**2
    square = np.maximum((since**2 * weights).sum(axis=1), 1e-12)
    fitted = (since * weights * grown).sum(axis=1) / square
    expected = np.log1p(np.maximum(fitted[:, None] * since, -_MAX_FALL))
    costs: Floats = (weight * (above - expected) ** 2).sum(axis=1)
    return costs, np.maximum(fitted, -_MAX_FALL / max(1e-9, float(at[-1] - at[0])))
