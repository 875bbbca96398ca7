"""A mergeable latency histogram with a bounded relative error."""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RELATIVE_ERROR = 0.02
"""A quantile is within 2 % of a true sample (DDSketch, Masson et al., VLDB 2019, section 2.1)."""

_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GAMMA = math.log(_GAMMA)
_LOG_OFFSET = math.log(2 / (_GAMMA + 1))
_CELL = np.dtype([("bucket", "<u2"), ("count", "<u4")])
_PAIR = struct.Struct("<HI")
"""One cell: as `_CELL`, without the start-up of numpy for a handful of them."""
_MAX_BUCKET = 2**16 - 1
LOG_SCALE = 2**20
"""Steps of a logarithm: sums of 10^10 squares fit, and those of 10^7 are exact as floats too."""


def bucket_of(latency_ms: int) -> int:
    """Return the bucket of a latency in whole milliseconds; bucket 0 holds 0 and 1 ms."""
    return 0 if latency_ms <= 1 else min(math.ceil(math.log(latency_ms) / _LOG_GAMMA), _MAX_BUCKET)


def _all_logs() -> npt.NDArray[np.float64]:
    """Return the logarithm that stands for each bucket."""
    logs = np.arange(_MAX_BUCKET + 1, dtype=np.float64) * np.float64(_LOG_GAMMA) + np.float64(_LOG_OFFSET)
    logs[0] = 0.0
    return logs


_LOGS = np.rint(_all_logs() * LOG_SCALE).astype(np.int64)
_SQUARED_LOGS = np.rint(_all_logs() ** 2 * LOG_SCALE).astype(np.int64)


def _value_of(bucket: int) -> float:
    """Return the latency in ms with the same relative distance to both ends of the bucket."""
    return 1.0 if bucket == 0 else 2 * _GAMMA**bucket / (_GAMMA + 1)


_VALUES = np.array([_value_of(bucket) for bucket in range(4096)])
"""Latency of the buckets up to 10^70 ms."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts by log-spaced bucket; histograms merge by addition, so percentiles of any union are cheap."""

    counts: dict[int, int]

    @classmethod
    def of(cls, latencies_ms: Iterable[int]) -> Histogram:
        """Build the histogram of latencies in ms."""
        return cls(dict(Counter(map(bucket_of, latencies_ms))))

    @classmethod
    def merged(cls, stored: Iterable[bytes]) -> Histogram:
        """Return the sum of stored histograms; fast for tens of thousands of them."""
        cells = _cells(stored)
        present, totals = _totals(cells["bucket"], cells["count"], 0)
        return cls(dict(zip(present.tolist(), totals.tolist(), strict=True)))

    @classmethod
    def total_of(cls, counts: Iterable[dict[int, int]]) -> Histogram:
        """Return the sum of histograms, given by their counts."""
        total: Counter[int] = Counter()
        for one in counts:
            total.update(one)
        return cls(dict(total))

    @property
    def total(self) -> int:
        """Return the number of latencies."""
        return sum(self.counts.values())

    def above(self, latency_ms: float) -> int:
        """Return the number of latencies in buckets above that of this one."""
        limit = bucket_of(math.ceil(latency_ms))
        return sum(count for bucket, count in self.counts.items() if bucket > limit)

    def to_bytes(self) -> bytes:
        """Serialize as `packed`."""
        return packed(self.counts)

    def quantile(self, fraction: float) -> float | None:
        """Return the latency in ms below which `fraction` of the samples lie; None without samples."""
        rank = fraction * (self.total - 1)
        seen = 0
        for bucket, count in sorted(self.counts.items()):
            seen += count
            if seen > rank:
                return _value_of(bucket)
        return None


def packed(counts: Mapping[int, int]) -> bytes:
    """Serialize counts to sparse little-endian (uint16 bucket, uint32 count) pairs in bucket order."""
    return b"".join([_PAIR.pack(bucket, counts[bucket]) for bucket in sorted(counts)])


def merge_packed(one: bytes, other: bytes) -> bytes:
    """Return the sum of two stored histograms; faster than `Histogram.merged` for a pair of small ones."""
    counts = dict(_PAIR.iter_unpack(one))
    for bucket, count in _PAIR.iter_unpack(other):
        counts[bucket] = counts.get(bucket, 0) + count
    return packed(counts)


def log_moments(stored: Sequence[bytes]) -> npt.NDArray[np.int64]:
    """Return count, sum of logarithms and sum of squared logarithms of each stored histogram.

    Shape (3, histograms); logarithms are natural, of milliseconds, and in units of 1 / LOG_SCALE: whole
    numbers, whose sums do not depend on their order.
    """
    cells, ends = _cells(stored), np.cumsum(_sizes(stored))
    counts, bucket = cells["count"].astype(np.int64), cells["bucket"]
    sums = np.stack([counts, counts * _LOGS[bucket], counts * _SQUARED_LOGS[bucket]])
    upto = np.concatenate([np.zeros((3, 1), dtype=np.int64), np.cumsum(sums, axis=1)], axis=1)
    return np.diff(upto[:, ends], axis=1, prepend=0)


def grouped_histograms(
    stored: Iterable[bytes], groups: npt.NDArray[np.int64], number: int
) -> list[Histogram]:
    """Return the sum of the stored histograms of each of a number of groups."""
    stored = list(stored)
    cells = _cells(stored)
    owner = np.repeat(groups, _sizes(stored))
    width = int(cells["bucket"].max(initial=0)) + 1
    places, totals = _totals(owner * width + cells["bucket"], cells["count"], number * width)
    found: list[dict[int, int]] = [{} for _ in range(number)]
    for group, bucket, total in zip(
        *(one.tolist() for one in (*np.divmod(places, width), totals)), strict=True
    ):
        found[group][bucket] = total
    return [Histogram(counts) for counts in found]


def window_quantiles(
    stored: Iterable[bytes],
    first: npt.NDArray[np.int64],
    last: npt.NDArray[np.int64],
    fractions: Sequence[float],
) -> npt.NDArray[np.float64]:
    """Return quantiles in ms of many windows, which may overlap: the union of the histograms [first, last).

    Shape (windows, fractions); NaN for a window without samples.
    """
    stored = list(stored)
    cells, ends = _cells(stored), np.concatenate([[0], np.cumsum(_sizes(stored))])
    begin, sizes = ends[first], ends[last] - ends[first]
    window = np.repeat(np.arange(len(first)), sizes)
    starts = np.cumsum(sizes) - sizes
    place = np.repeat(begin - starts, sizes) + np.arange(len(window))
    order = np.lexsort((cells["bucket"][place], window))
    buckets = cells["bucket"][place][order]
    seen = np.concatenate([[0], np.cumsum(cells["count"][place][order].astype(np.int64))])
    before, total = seen[starts], seen[starts + sizes] - seen[starts]
    found = np.full((len(first), len(fractions)), np.nan)
    filled = total > 0
    for column, fraction in enumerate(fractions):
        rank = before[filled] + fraction * (total[filled] - 1)
        # The first cell up to which more samples lie than the rank.
        found[filled, column] = _VALUES[
            np.minimum(buckets[np.searchsorted(seen, rank, side="right") - 1], len(_VALUES) - 1)
        ]
    return found


def _cells(stored: Iterable[bytes]) -> npt.NDArray[np.void]:
    return np.frombuffer(b"".join(stored), dtype=_CELL)


def _sizes(stored: Sequence[bytes]) -> npt.NDArray[np.int64]:
    """Return the number of cells of each stored histogram."""
    return np.fromiter(map(len, stored), dtype=np.int64, count=len(stored)) // _CELL.itemsize


def _totals(
    places: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], size: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the places that occur, and the sum of the counts of each."""
    totals = np.bincount(places, weights=counts, minlength=size)
    (present,) = totals.nonzero()
    return present, totals[present].astype(np.int64)
