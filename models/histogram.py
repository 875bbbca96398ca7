"""A mergeable latency histogram with a bounded relative error."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RELATIVE_ERROR = 0.02
"""A quantile is within 2 % of a true sample (DDSketch, Masson et al., VLDB 2019, section 2.1)."""

_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GAMMA = math.log(_GAMMA)
_LOG_OFFSET = math.log(2 / (_GAMMA + 1))
_CELL = np.dtype([("bucket", "<u2"), ("count", "<u4")])
_MAX_BUCKET = 2**16 - 1


def bucket_of(latency_ms: int) -> int:
    """Return the bucket of a latency in whole milliseconds; bucket 0 holds 0 and 1 ms."""
    return 0 if latency_ms <= 1 else min(math.ceil(math.log(latency_ms) / _LOG_GAMMA), _MAX_BUCKET)


def _value_of(bucket: int) -> float:
    """Return the latency in ms with the same relative distance to both ends of the bucket."""
    return 1.0 if bucket == 0 else 2 * _GAMMA**bucket / (_GAMMA + 1)


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
        cells: npt.NDArray[np.void] = np.frombuffer(b"".join(stored), dtype=_CELL)
        if not len(cells):
            return cls({})
        totals = np.bincount(cells["bucket"], weights=cells["count"])
        (present,) = totals.nonzero()
        return cls({int(bucket): int(totals[bucket]) for bucket in present})

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
        """Serialize to sparse little-endian (uint16 bucket, uint32 count) pairs in bucket order."""
        return np.array(sorted(self.counts.items()), dtype=_CELL).tobytes()

    def quantile(self, fraction: float) -> float | None:
        """Return the latency in ms below which `fraction` of the samples lie; None without samples."""
        rank = fraction * (self.total - 1)
        seen = 0
        for bucket, count in sorted(self.counts.items()):
            seen += count
            if seen > rank:
                return _value_of(bucket)
        return None


def log_moments(stored: Sequence[bytes]) -> npt.NDArray[np.float64]:
    """Return count, sum of logarithms and sum of squared logarithms of each stored histogram.

    Shape (histograms, 3); logarithms are natural, of milliseconds.
    """
    cells: npt.NDArray[np.void] = np.frombuffer(b"".join(stored), dtype=_CELL)
    owner = np.repeat(np.arange(len(stored)), [len(one) // _CELL.itemsize for one in stored])
    counts = cells["count"].astype(float)
    logs = np.where(cells["bucket"] == 0, 0.0, cells["bucket"] * _LOG_GAMMA + _LOG_OFFSET)
    sums = [counts, counts * logs, counts * logs * logs]
    return np.stack([np.bincount(owner, weights=one, minlength=len(stored)) for one in sums], axis=1)
