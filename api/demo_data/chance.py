"""Seeded randomness: every stream of draws is named, so that one part never shifts another's."""

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
    """The draws that one part of the story makes; equal for equal arguments."""
    return Random(f"{seed}/{purpose}")  # noqa: S311  a story, not a secret


def pick(chance: Random, weights: Mapping[Choice, float]) -> Choice:
    """One of the keys, as likely as its weight."""
    (chosen,) = chance.choices(list(weights), list(weights.values()))
    return chosen


def steady_normals(chance: Random) -> Iterator[float]:
    """Standard normal draws, each run of twenty spread over the twenty equal parts of the distribution.

    Percentiles of a few hundred of them then hardly vary from one seed to another.
    """
    while True:
        strata = list(range(_STRATA))
        chance.shuffle(strata)
        for stratum in strata:
            yield _NORMAL.inv_cdf((stratum + chance.uniform(_EDGE, 1 - _EDGE)) / _STRATA)
