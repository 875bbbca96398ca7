"""Rows of the rollups, by column: chosen, named and grouped. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from context_builder.rollups.chunk import Column
from context_builder.rollups.span import minute_of
from models.histogram import Histogram, grouped_histograms

Mask = npt.NDArray[np.bool_]
Labels = tuple[list[str], Column]
"""Sorted names, and the place of each row's name among them."""
_MAX_KEY = 2**62


@dataclass(frozen=True, slots=True)
class DeploymentNames:
    """What a deployment is called."""

    deployment: str
    model: str
    backend: str
    region: str


@dataclass(frozen=True, slots=True)
class RollupNames:
    """The names that numbers in columns stand for."""

    deployments: Mapping[int, DeploymentNames]
    texts: Sequence[str]


class Rows:
    """Rows of one table; columns are put together when they are first asked for."""

    def __init__(self, size: int, load: Callable[[str], Column], names: RollupNames) -> None:
        self._size = size
        self._load = load
        self._names = names
        self._columns: dict[str, Column] = {}

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, column: str) -> Column:
        if column not in self._columns:
            self._columns[column] = self._load(column)
        return self._columns[column]

    def where(self, mask: Mask) -> Rows:
        """Return the rows that a mask chooses."""
        (places,) = mask.nonzero()
        return Rows(len(places), lambda column: self[column][places], self._names)

    def since(self, moment: datetime) -> Mask:
        """Return which rows' buckets start at a moment or later."""
        mask: Mask = self["start"] >= minute_of(moment)
        return mask

    def labels(self, dimension: str) -> Labels:
        """Return the names of a dimension: a column of texts, or an attribute of DeploymentNames."""
        if dimension in DeploymentNames.__dataclass_fields__:
            deployments = self._names.deployments
            return labels_of(self["deployment_id"], lambda number: getattr(deployments[number], dimension))
        return labels_of(self[dimension], self._names.texts.__getitem__)

    def having(self, dimension: str, values: Collection[str]) -> Mask:
        """Return which rows have one of the values of a dimension."""
        names, places = self.labels(dimension)
        return np.array([name in values for name in names], dtype=np.bool_)[places]


def labels_of(numbers: Column, name_of: Callable[[int], str]) -> Labels:
    """Return the sorted names of some numbers, and the place of each number's name."""
    present = np.flatnonzero(np.bincount(numbers)) if len(numbers) else np.zeros(0, dtype=np.int64)
    found = [name_of(int(number)) for number in present]
    names = sorted(set(found))
    places = {name: place for place, name in enumerate(names)}
    table = np.zeros(int(present[-1]) + 1 if len(present) else 1, dtype=np.int64)
    table[present] = [places[name] for name in found]
    return names, table[numbers]


class Groups:
    """Rows that are alike in some keys, whole numbers from 0; groups are in the order of their keys."""

    def __init__(self, *keys: Column) -> None:
        whole = np.zeros(len(keys[0]), dtype=np.int64)
        bound = 1
        for key in keys:
            size = int(key.max(initial=0)) + 1
            if bound * size > _MAX_KEY:
                _, whole = np.unique(whole, return_inverse=True)
                bound = int(whole.max(initial=0)) + 1
            whole, bound = whole * size + key, bound * size
        self._order = np.argsort(whole, kind="stable")
        ordered = whole[self._order]
        self._starts = np.flatnonzero(np.diff(ordered, prepend=-1))

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def first(self) -> Column:
        """Return the place of one row of each group, to look up its keys."""
        return self._order[self._starts]

    def sum(self, values: Column) -> Column:
        """Return the sum of each group, exact for whole numbers."""
        return np.add.reduceat(values[self._order], self._starts) if len(self) else values[:0]

    def min(self, values: Column) -> Column:
        """Return the least value of each group."""
        return np.minimum.reduceat(values[self._order], self._starts) if len(self) else values[:0]

    def max(self, values: Column) -> Column:
        """Return the greatest value of each group."""
        return np.maximum.reduceat(values[self._order], self._starts) if len(self) else values[:0]

    def histograms(self, stored: Column) -> list[Histogram]:
        """Return the sum of the histograms of each group."""
        sizes = np.diff(np.append(self._starts, len(self._order)))
        return grouped_histograms(stored[self._order], np.repeat(np.arange(len(self)), sizes), len(self))
