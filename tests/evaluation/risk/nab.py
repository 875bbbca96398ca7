"""The score of the Numenta Anomaly Benchmark, by its published formula.

Lavin and Ahmad, Evaluating Real-Time Anomaly Detection Algorithms, 2015; weights of `config/profiles.json`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from context_builder.risk.measures.series_table import Floats

Window = tuple[int, int]
"""First and last row."""
PROBATION = 0.15
"""Share of a file that is not scored, at most that of 5,000 rows."""
_MAX_PROBATION = 750


@dataclass(frozen=True, slots=True)
class Profile:
    """What a hit is worth, and what a false alarm and a missed window cost."""

    hit: float
    false_alarm: float
    miss: float


STANDARD = Profile(1.0, 0.11, 1.0)
LOW_FALSE_ALARMS = Profile(1.0, 0.22, 1.0)
LOW_MISSES = Profile(1.0, 0.11, 2.0)


@dataclass(frozen=True, slots=True)
class Labelled:
    """The anomaly scores of one file, and where its anomalies are."""

    scores: Floats
    windows: tuple[Window, ...]


def probation(rows: int) -> int:
    """Return how many of the first rows are not scored."""
    return min(math.floor(PROBATION * rows), _MAX_PROBATION)


def sigmoid(place: float) -> float:
    """Return the worth of a detection at a place relative to a window: -1 its start, 0 its end."""
    return 2 / (1 + math.exp(5 * place)) - 1 if place <= 3 else -1.0


def raw_score(files: Sequence[Labelled], threshold: float, profile: Profile) -> float:
    """Return the sum over all files of the worth of what is detected at a threshold."""
    return sum(_score(one, threshold, profile) for one in files)


def _score(one: Labelled, threshold: float, profile: Profile) -> float:
    start = probation(len(one.scores))
    windows = [window for window in one.windows if window[1] >= start]
    found = [row for row in np.flatnonzero(one.scores >= threshold).tolist() if row >= start]
    total = 0.0
    for first, last in windows:
        hits = [row for row in found if first <= row <= last]
        if hits:
            worth = sigmoid(-(last - hits[0] + 1) / (last - first + 1)) / sigmoid(-1.0)
            total += profile.hit * worth
        else:
            total -= profile.miss
    for row in found:
        if any(first <= row <= last for first, last in windows):
            continue
        before = [window for window in windows if window[1] < row]
        place = math.inf
        if before:
            first, last = before[-1]
            place = (row - last) / max(1, last - first)
        total += profile.false_alarm * (sigmoid(place) if place < math.inf else -1.0)
    return total


def normalized(files: Sequence[Labelled], threshold: float, profile: Profile) -> float:
    """Return the score in percent: 0 for detecting nothing, 100 for every window at its start."""
    windows = sum(window[1] >= probation(len(one.scores)) for one in files for window in one.windows)
    null = -profile.miss * windows
    perfect = profile.hit * windows
    return 100 * (raw_score(files, threshold, profile) - null) / (perfect - null) if windows else 0.0


def best_threshold(files: Sequence[Labelled], profile: Profile, tries: int = 200) -> float:
    """Return the threshold with the highest score, as the benchmark chooses it: on the corpus itself."""
    scores = np.unique(np.concatenate([one.scores for one in files]))
    candidates = np.unique(np.append(np.quantile(scores, 1 - np.geomspace(1e-4, 0.5, tries)), scores[-1] + 1))
    return float(max(candidates, key=lambda threshold: raw_score(files, float(threshold), profile)))
