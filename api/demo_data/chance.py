"""Seeded randomness: every stream is named, so that one part never shifts the draws of another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from statistics import NormalDist
from typing import TypeVar

_STRATA = 20
_NORMAL = NormalDist()
_EDGE = 0.001

Choice = TypeVar("Choice")


def stream(seed: int, purpose: str) -> Random:
    """Return the random stream of one part; equal for equal arguments."""
    return Random(f"{seed}/{purpose}")  # noqa: S311  example data, not secrets


def pick(chance: Random, weights: Mapping[Choice, float]) -> Choice:
    """Draw a key with probability proportional to its weight."""
    (chosen,) = chance.choices(list(weights), list(weights.values()))
    return chosen


def steady_normals(chance: Random) -> Iterator[float]:
    """Draw standard normals, each run of twenty stratified over twenty equal parts of the distribution.

    Percentiles of a few hundred draws then hardly vary between seeds.
    """
    while True:
        strata = list(range(_STRATA))
        chance.shuffle(strata)
        for stratum in strata:
            yield _NORMAL.inv_cdf((stratum + chance.uniform(_EDGE, 1 - _EDGE)) / _STRATA)
