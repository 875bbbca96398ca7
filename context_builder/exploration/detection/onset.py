"""Detects when a signal left its baseline level, and whether it returned. Pure.

Change points are proposed by penalised segmentation and confirmed by a likelihood ratio test.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import NormalDist

import numpy as np

from context_builder.exploration.detection.segmentation import segment_bounds
from context_builder.exploration.series.signal import Distribution, Floats, Signal, SignalLevel

MAX_BUCKETS = 250
MIN_WEIGHT = 8.0
"""Of a bucket: fewer requests give no usable rate."""
FALSE_ALARM_RATE = 0.05
"""Family-wise: of any detection in all of a question's signals when nothing changed."""
_INTERVAL_DROP = 3.0
"""Drop in log likelihood that bounds the interval of an onset; it covers about 95 % of true onsets."""
_PENALTY = 8.0
_MIN_BASELINE_SHARE = 0.1
"""The first segment with this share of the total weight sets the baseline."""
_MIN_LEVEL = 1e-3
"""Floor of levels, so that log likelihoods stay finite."""
_NOISE_STEPS = 0.95
"""Fraction of the steps between buckets, the smallest, that are assumed free of level changes."""
_MAD_TO_DEVIATION = 1.4826
"""Ratio of the standard deviation of a normal distribution to its median absolute deviation."""


@dataclass(frozen=True, slots=True)
class LevelShift:
    """A run of buckets away from the baseline level."""

    first: int
    """Slot at which the run's first bucket starts."""
    within: int
    """Slot at which its second bucket starts: the signal left in slots [first, within)."""
    end: int | None
    """Slot at which the signal was back at the baseline; None: not yet."""
    away: SignalLevel
    usual: SignalLevel
    """The baseline level."""
    evidence: float


def min_evidence(tests: int) -> float:
    """Return the evidence a change needs among so many tests to keep FALSE_ALARM_RATE.

    The quantile of the chi-squared distribution with one degree of freedom, Bonferroni-corrected.
    """
    return NormalDist().inv_cdf(FALSE_ALARM_RATE / max(1, tests) / 2) ** 2


def level_shifts(signal: Signal, least: float) -> list[LevelShift]:
    """Return every run away from the baseline with at least this evidence, oldest first."""
    if not len(signal):
        return []
    total = signal.level(0, len(signal)).weight
    merged = signal.merged(max(MIN_WEIGHT, total / MAX_BUCKETS))
    if len(merged) < 3:  # noqa: PLR2004  a baseline, a change, and one more bucket to estimate noise
        return []
    values = merged.standardised()
    merged = replace(merged, noise=replace(merged.noise, dispersion=_dispersion(values)))
    bounds = _confirm_bounds(merged, _propose_bounds(values, merged.noise.dispersion), least)
    return list(_find_runs(merged, bounds, least))


def _propose_bounds(values: Floats, dispersion: float) -> list[int]:
    """Return the bounds of the segments of standardised values, including 0 and the length."""
    penalty = _PENALTY + 2 * math.log(len(values))
    return segment_bounds(values / math.sqrt(dispersion), penalty)


def _dispersion(values: Floats) -> float:
    """Estimate overdispersion from the steps between buckets, robustly against level changes."""
    steps = np.sort(np.abs(values[1:] - values[:-1]))
    median = float(steps[(len(steps) - 1) // 2] + steps[len(steps) // 2]) / 2
    deviation = _MAD_TO_DEVIATION * median / math.sqrt(2)
    quiet = steps[: max(1, int(len(steps) * _NOISE_STEPS))]
    return max(1.0, deviation**2, float((quiet**2).mean()) / 2)


def _confirm_bounds(signal: Signal, bounds: list[int], least: float) -> list[int]:
    """Drop the bounds whose two sides do not differ significantly, the weakest first."""
    while len(bounds) > 2:  # noqa: PLR2004  one segment has two bounds
        levels = [signal.level(start, end) for start, end in pairwise(bounds)]
        evidence = [signal.noise.evidence(one, two) for one, two in pairwise(levels)]
        weakest = min(range(len(evidence)), key=evidence.__getitem__)
        if evidence[weakest] >= least:
            break
        del bounds[weakest + 1]
    return bounds


def _find_runs(signal: Signal, bounds: Sequence[int], least: float) -> Iterator[LevelShift]:
    """Merge consecutive segments on the same side of the baseline, which follows the quiet ones."""
    segments = list(pairwise(bounds))
    first = _baseline_segment(signal, segments)
    usual = signal.level(*segments[first])
    run: list[tuple[int, int]] = []
    for segment in [*segments[first + 1 :], None]:
        level = signal.level(*segment) if segment else usual
        is_away = segment is not None and signal.noise.evidence(level, usual) >= least
        rose = level.value > usual.value
        if run and (not is_away or rose != (signal.level(run[0][0], run[-1][1]).value > usual.value)):
            yield _level_shift(signal, run[0][0], run[-1][1], usual)
            run = []
        if is_away and segment:
            run.append(segment)
        elif segment:
            usual = SignalLevel(usual.weight + level.weight, usual.mass + level.mass)


def _baseline_segment(signal: Signal, segments: Sequence[tuple[int, int]]) -> int:
    least = _MIN_BASELINE_SHARE * signal.level(0, len(signal)).weight
    heavy = (n for n, segment in enumerate(segments) if signal.level(*segment).weight >= least)
    return next(heavy, 0)


def _level_shift(signal: Signal, first: int, end: int, usual: SignalLevel) -> LevelShift:
    away = signal.level(first, end)
    return LevelShift(
        first=int(signal.first_slot[first]),
        within=int(signal.first_slot[first + 1]) if first + 1 < len(signal) else signal.slots,
        end=None if end >= len(signal) else int(signal.first_slot[end]),
        away=away,
        usual=usual,
        evidence=signal.noise.evidence(away, usual),
    )


@dataclass(frozen=True, slots=True)
class OnsetEstimate:
    """The likeliest bucket of an onset, and the first and last plausible ones."""

    first: int
    likeliest: int
    last: int


def estimate_onset(signal: Signal, usual: float, away: float) -> OnsetEstimate:
    """Estimate where a signal that ends at the level `away` left the baseline `usual`.

    For the surroundings of an onset, in finer buckets than those it was detected in.
    """
    later = np.cumsum(_log_likelihood_gain(signal, usual, away)[::-1])[::-1]
    # Among equals the latest: empty buckets before it are no sign of a change.
    likeliest = len(later) - 1 - int(np.argmax(later[::-1]))
    plausible = np.flatnonzero(later >= later[likeliest] - _INTERVAL_DROP)
    return OnsetEstimate(int(plausible[0]), likeliest, int(plausible[-1]))


def _log_likelihood_gain(signal: Signal, usual: float, away: float) -> Floats:
    """Return each bucket's log likelihood at `away` minus that at `usual`."""
    if signal.noise.law is Distribution.GAUSSIAN:
        middle = (usual + away) / 2
        return (signal.mass - signal.weight * middle) * (away - usual) / signal.noise.deviation**2
    if signal.noise.law is Distribution.POISSON:
        low, high = max(usual, _MIN_LEVEL), max(away, _MIN_LEVEL)
        return signal.mass * math.log(high / low) - signal.weight * (high - low)
    low, high = (min(1 - _MIN_LEVEL, max(_MIN_LEVEL, level)) for level in (usual, away))
    rest = signal.weight - signal.mass
    return signal.mass * math.log(high / low) + rest * math.log((1 - high) / (1 - low))
