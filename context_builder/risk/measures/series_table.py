"""Arrays with one row per series, which are grown and cleared together. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Field:
    """One array: the shape of a row, and what an unused row holds."""

    shape: tuple[int, ...] = ()
    fill: float = 0.0
    kind: str = "f8"
    """A numpy type."""


class SeriesTable:
    """Named arrays of the same number of rows."""

    def __init__(self, fields: Mapping[str, Field]) -> None:
        self._fields = fields
        self._arrays: dict[str, npt.NDArray[Any]] = {
            name: np.zeros((0, *field.shape), dtype=field.kind) for name, field in fields.items()
        }

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self._arrays[name]

    @property
    def bytes(self) -> int:
        """Return the size of all arrays."""
        return sum(array.nbytes for array in self._arrays.values())

    def grow(self, size: int) -> None:
        """Add unused rows at the end, up to `size` of them in all."""
        for name, field in self._fields.items():
            old = self._arrays[name]
            more = np.full((size - len(old), *field.shape), field.fill, dtype=field.kind)
            self._arrays[name] = np.concatenate([old, more])

    def clear(self, rows: Places | Sequence[int], *names: str) -> None:
        """Make rows unused, in some of the arrays or in all."""
        for name in names or self._fields:
            self._arrays[name][rows] = self._fields[name].fill
