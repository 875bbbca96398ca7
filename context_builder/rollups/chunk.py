"""Columns of consecutive buckets of one table. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from context_builder.rollups.table import RollupTable, Row
from models.histogram import log_moments

Column = npt.NDArray[Any]
"""Whole numbers, or objects in `histogram`."""
_OBJECT_BYTES = 41
"""Of a histogram beside its content: the object, and the reference to it."""


class TextCodes:
    """Numbers for the texts of columns; a number stays what it is. Used by several threads."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._codes: dict[str, int] = {}
        self._lock = Lock()

    def encode(self, values: Sequence[str]) -> Column:
        """Return the number of each text."""
        with self._lock:
            for text in sorted(set(values) - self._codes.keys()):
                self._codes[text] = len(self.texts)
                self.texts.append(text)
        return np.fromiter(map(self._codes.__getitem__, values), dtype=np.int32, count=len(values))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Columns of the same length, sorted by `start`; they are never changed, so that views can share them."""

    columns: Mapping[str, Column]
    size: int
    """About how many bytes it takes."""

    @classmethod
    def of(cls, table: RollupTable, rows: Sequence[Row], codes: TextCodes) -> Chunk:
        """Make columns of rows as `RollupTable.read` returns them."""
        names = ("id", "", "start", *table.moments, *table.numbers, *table.texts)
        values: list[Sequence[Any]] = [*zip(*rows, strict=True)] or [()] * (len(names) + table.has_histogram)
        columns: dict[str, Column] = {}
        for name, column in zip(names, values, strict=False):
            if name in table.texts:
                columns[name] = codes.encode(column)
            elif name:
                columns[name] = np.array(column, dtype=np.int64)
        if table.has_histogram:
            columns["histogram"] = np.fromiter(values[-1], dtype=object, count=len(rows))
            columns |= dict(zip(("timed", "log_sum", "log_square_sum"), log_moments(values[-1]), strict=True))
        return cls._sorted(columns)

    @classmethod
    def _sorted(cls, columns: Mapping[str, Column]) -> Chunk:
        order = np.argsort(columns["start"], kind="stable")
        chosen = {name: column[order] for name, column in columns.items()}
        for column in chosen.values():
            column.flags.writeable = False
        histograms: Iterable[bytes] = chosen.get("histogram", ())
        stored = sum(column.nbytes for column in chosen.values())
        return cls(chosen, stored + sum(map(len, histograms)) + _OBJECT_BYTES * len(order))

    def updated(self, changed: Chunk) -> Chunk:
        """Return the chunk with some rows replaced, or added."""
        kept = ~np.isin(self.columns["id"], changed.columns["id"])
        return self._sorted(
            {name: np.concatenate([one[kept], changed.columns[name]]) for name, one in self.columns.items()}
        )

    def between(self, start: int, end: int) -> slice:
        """Return the place of the buckets in [start, end), in minutes since 1970."""
        first, last = np.searchsorted(self.columns["start"], (start, end))
        return slice(int(first), int(last))
