"""Arrival times of requests: a daily cycle with stratified randomness."""

from __future__ import annotations

import math
from bisect import bisect_left
from datetime import datetime, timedelta
from itertools import accumulate
from random import Random

_CELL = timedelta(minutes=15)
_PEAK_HOUR = 14


def arrivals(chance: Random, count: int, start: datetime, end: datetime, swing: float) -> list[datetime]:
    """Draw `count` times in [start, end), in order, in whole milliseconds.

    The rate follows the UTC time of day between 1 - swing and 1 + swing. Each is drawn within
    its own n-th part of the volume, so that no short window is empty by chance.
    """
    cells = math.ceil((end - start) / _CELL)
    reached = [0.0, *accumulate(_rate(start + (cell + 0.5) * _CELL, swing) for cell in range(cells))]
    length_ms = (end - start) / timedelta(milliseconds=1)
    moments = []
    for part in range(count):
        level = (part + chance.random()) / count * reached[-1]
        after = max(1, bisect_left(reached, level))
        within = (level - reached[after - 1]) / (reached[after] - reached[after - 1])
        share = (after - 1 + within) / cells
        moments.append(start + timedelta(milliseconds=int(share * length_ms)))
    return moments


def _rate(moment: datetime, swing: float) -> float:
    hour = moment.hour + moment.minute / 60
    return 1 + swing * math.cos((hour - _PEAK_HOUR) * math.tau / 24)
