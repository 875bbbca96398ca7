"""What a kind of world does to its requests: a factor or a chance, on a slice, at some times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.evaluation.worlds.gateway import Slice

Floats = npt.NDArray[np.floating[Any]]
When = Callable[[Floats], Floats]
"""From seconds since the start to how much of an effect is there, from 0 to 1."""
HOUR = 3600.0


class What(StrEnum):
    """What an effect changes."""

    VOLUME = "volume"
    PROMPT = "prompt"
    LATENCY = "latency"
    ERRORS = "errors"
    QUALITY = "quality"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class Effect:
    """Multiplies volume, prompt or latency; adds to quality; makes a share fail or go to another model."""

    what: What
    where: Slice
    size: float
    when: When
    status: str = "error"
    code: str = ""
    retries: int = 0
    """How often a client whose request fails by this insists."""
    to: str = ""
    """The other model."""

    def factor(self, at: Floats) -> Floats:
        """What a size of which 1 is none amounts to at some times."""
        return 1 + (self.size - 1) * self.when(at)


def between(begin: float, end: float = np.inf) -> When:
    """All of it from one moment to another."""
    return lambda at: ((at >= begin) & (at < end)).astype(float)


def ramp(begin: float, full: float) -> When:
    """Grow evenly from one moment to another, and stay."""
    return lambda at: np.clip((at - begin) / (full - begin), 0, 1)


def repeating(begin: float, end: float, every: float, length: float) -> When:
    """On for a while in each of equal turns that are counted from the start of the history."""
    return lambda at: ((at >= begin) & (at < end) & (at % every < length)).astype(float)
