"""Finds when a signal left its usual level, and whether it came back. Pure.

Changepoints are proposed by penalised segmentation (kernel change point detection, Arlot, Celisse and
Harchaoui, JMLR 2019, with the linear kernel: the mean) and confirmed by the likelihood ratio of the counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import NormalDist

import numpy as np
from ruptures.detection.kernelcpd import KernelCPD  # type: ignore[import-untyped]  # it ships no types

from context_builder.exploration.series.signal import Distribution, Floats, Signal, SignalLevel

MAX_BUCKETS = 250
MIN_WEIGHT = 8.0
"""Of a bucket: with fewer requests a share says little."""
FALSE_ALARM_RATE = 0.01
"""That anything is found in a question's signals where nothing changed, were their noise as assumed."""
_INTERVAL_DROP = 3.0
"""Log likelihood by which a turn may fall short of the likeliest: some 95 % of the true ones do not."""
_PENALTY = 8.0
_MIN_BASELINE_SHARE = 0.1
"""The usual level is that of the first segment with so much of all weight."""
_MIN_LEVEL = 1e-3
"""No level is taken for impossible."""
_NOISE_STEPS = 0.95
"""Share of the steps from bucket to bucket, the smallest, of which none should be a change of level."""
_MAD_TO_DEVIATION = 1.4826
"""From the median absolute deviation to the standard deviation of normal values."""


@dataclass(frozen=True, slots=True)
class LevelShift:
    """A run of buckets away from the usual level."""

    first: int
    """Slot in which the first bucket of the run begins."""
    within: int
    """Slot in which the second one begins: it left in the slots from `first` to before this one."""
    end: int | None
    """Slot in which the signal was back; None while it is away."""
    away: SignalLevel
    usual: SignalLevel
    evidence: float


def min_evidence(places: int) -> float:
    """What a change needs, where so many places are looked at, to be no matter of chance.

    The quantile of the chi-squared distribution with one degree of freedom (Bonferroni).
    """
    return NormalDist().inv_cdf(FALSE_ALARM_RATE / max(1, places) / 2) ** 2


def level_shifts(signal: Signal, least: float) -> list[LevelShift]:
    """Every run away from the usual level whose evidence is `least` or more, oldest first."""
    if not len(signal):
        return []
    total = signal.level(0, len(signal)).weight
    merged = signal.merged(max(MIN_WEIGHT, total / MAX_BUCKETS))
    if len(merged) < 3:  # noqa: PLR2004  a level, a change and something to tell it from chance
        return []
    merged = replace(merged, noise=replace(merged.noise, dispersion=_dispersion(merged)))
    bounds = _confirm_bounds(merged, _propose_bounds(merged), least)
    return list(_find_runs(merged, bounds, least))


def _propose_bounds(signal: Signal) -> list[int]:
    """Bounds of the segments, 0 and the length included."""
    values = signal.standardised() / math.sqrt(signal.noise.dispersion)
    penalty = _PENALTY + 2 * math.log(len(values))
    ends = KernelCPD(kernel="linear", min_size=1).fit(values.reshape(-1, 1)).predict(pen=penalty)
    return [0, *(int(end) for end in ends)]


def _dispersion(signal: Signal) -> float:
    """From one bucket to the next, so that a change of level does not count."""
    steps = np.sort(np.abs(np.diff(signal.standardised())))
    deviation = _MAD_TO_DEVIATION * float(np.median(steps)) / math.sqrt(2)
    usual = steps[: max(1, int(len(steps) * _NOISE_STEPS))]
    return max(1.0, deviation**2, float((usual**2).mean()) / 2)


def _confirm_bounds(signal: Signal, bounds: list[int], least: float) -> list[int]:
    """The bounds without those whose two sides chance explains, the weakest taken away first."""
    while len(bounds) > 2:  # noqa: PLR2004  one segment has two bounds
        parts = [signal.level(a, b) for a, b in pairwise(bounds)]
        evidence = [signal.noise.evidence(one, two) for one, two in pairwise(parts)]
        weakest = min(range(len(evidence)), key=evidence.__getitem__)
        if evidence[weakest] >= least:
            break
        bounds = [*bounds[: weakest + 1], *bounds[weakest + 2 :]]
    return bounds


def _find_runs(signal: Signal, bounds: Sequence[int], least: float) -> Iterator[LevelShift]:
    segments = list(pairwise(bounds))
    base = _baseline_segment(signal, segments)
    usual = signal.level(*segments[base])
    run: list[tuple[int, int]] = []
    for segment in [*segments[base + 1 :], None]:
        level = signal.level(*segment) if segment else usual
        away = segment is not None and signal.noise.evidence(level, usual) >= least
        if run and (
            not away or _is_above(level, usual) != _is_above(signal.level(run[0][0], run[-1][1]), usual)
        ):
            yield _level_shift(signal, run, usual)
            run = []
        if away and segment:
            run.append(segment)
        elif segment:
            usual = SignalLevel(usual.weight + level.weight, usual.mass + level.mass)


def _baseline_segment(signal: Signal, segments: Sequence[tuple[int, int]]) -> int:
    total = signal.level(0, len(signal)).weight
    return next(
        (
            number
            for number, segment in enumerate(segments)
            if signal.level(*segment).weight >= _MIN_BASELINE_SHARE * total
        ),
        0,
    )


def _is_above(level: SignalLevel, usual: SignalLevel) -> bool:
    return level.value > usual.value


def _level_shift(signal: Signal, run: Sequence[tuple[int, int]], usual: SignalLevel) -> LevelShift:
    first, end = run[0][0], run[-1][1]
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
    """Where a signal left its usual level: the likeliest bucket, and the first and last plausible ones."""

    first: int
    likeliest: int
    last: int


def estimate_onset(signal: Signal, usual: float, away: float) -> OnsetEstimate:
    """The turn of a signal that ends away from its usual level.

    For the neighbourhood of an onset, in finer buckets than those that it was found in.
    """
    later = np.cumsum(_log_likelihood_gain(signal, usual, away)[::-1])[::-1]
    # Where nothing was counted between two buckets, the later one is the first that was seen away.
    likeliest = len(later) - 1 - int(np.argmax(later[::-1]))
    plausible = np.flatnonzero(later >= later[likeliest] - _INTERVAL_DROP)
    return OnsetEstimate(int(plausible[0]), likeliest, int(plausible[-1]))


def _log_likelihood_gain(signal: Signal, usual: float, away: float) -> Floats:
    """By bucket, how much likelier it is at the level away than at the usual one."""
    if signal.noise.law is Distribution.GAUSSIAN:
        middle = (usual + away) / 2
        return (signal.mass - signal.weight * middle) * (away - usual) / signal.noise.deviation**2
    if signal.noise.law is Distribution.POISSON:
        low, high = max(usual, _MIN_LEVEL), max(away, _MIN_LEVEL)
        return signal.mass * math.log(high / low) - signal.weight * (high - low)
    low, high = (min(1 - _MIN_LEVEL, max(_MIN_LEVEL, level)) for level in (usual, away))
    rest = signal.weight - signal.mass
    return signal.mass * math.log(high / low) + rest * math.log((1 - high) / (1 - low))
