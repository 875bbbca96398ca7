"""When requests arrive: a Poisson process with bursts, or the times of a recorded trace."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from random import Random

from context_builder.errors import ContextBuilderError

_BURST_RATE = 1.6
"""Factor on the rate within a burst."""
_MEAN_BURST_S = 8.0
_MEAN_CALM_S = 40.0
_MAX_ARRIVALS = 1_000_000
_MIN_ARRIVALS = 100
_MIN_SPAN_S = 0.001


class TraceUnusable(ContextBuilderError, ValueError):
    """A file of arrival times cannot be used; the message says where and what is accepted."""


def poisson_with_bursts(random: Random, *, rate: float, duration_s: float) -> Iterator[float]:
    """Yield arrival times in seconds, of on average `rate` requests per second outside bursts."""
    now = 0.0
    is_burst, switch_s = False, random.expovariate(1 / _MEAN_CALM_S)
    while True:
        now += random.expovariate(rate * (_BURST_RATE if is_burst else 1.0))
        if now >= duration_s:
            return
        while now >= switch_s:
            is_burst = not is_burst
            switch_s += random.expovariate(1 / (_MEAN_BURST_S if is_burst else _MEAN_CALM_S))
        yield now


def recorded(path: Path, *, rate: float, duration_s: float) -> list[float]:
    """Return the times in the first column of a CSV file, scaled to `rate` on average over the recording.

    A header is skipped. The first `duration_s` seconds are returned; where it is too short, it repeats.

    Raises:
        TraceUnusable: The file cannot be read, or its times are too few, not numbers or not finite.
    """
    gaps = _gaps(_times(path), path)
    scale = (1 / rate) / (sum(gaps) / len(gaps))
    now, arrivals = 0.0, []
    while now < duration_s:
        for gap in gaps:
            now += gap * scale
            if now >= duration_s:
                break
            arrivals.append(now)
    return arrivals


def _times(path: Path) -> list[float]:
    times = []
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            for number, row in enumerate(csv.reader(lines), start=1):
                value = _number(row[0]) if row else None
                if value is not None:
                    times.append(value)
                elif row and number > 1:
                    raise TraceUnusable(
                        f"{path}, line {number}: {row[0][:40]!r} is no arrival time; "
                        "the first column must hold seconds, such as 12.5, or ISO 8601 times"
                    )
                if len(times) > _MAX_ARRIVALS:
                    raise TraceUnusable(f"{path} has more than {_MAX_ARRIVALS} arrival times")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TraceUnusable(f"{path} cannot be read as CSV: {error}") from None
    return sorted(times)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return _timestamp(text)
    return value if math.isfinite(value) else None


def _timestamp(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _gaps(times: Sequence[float], path: Path) -> list[float]:
    if len(times) < _MIN_ARRIVALS or times[-1] - times[0] < _MIN_SPAN_S:
        raise TraceUnusable(
            f"{path} has {len(times)} arrival times; at least {_MIN_ARRIVALS} that differ are needed"
        )
    return [later - earlier for earlier, later in pairwise(times)]
