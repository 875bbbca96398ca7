"""The slots in which change is looked for: whole hours long ago, ten minutes in the last day. Pure."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from context_builder.question.request import Window

FINE_SLOT = timedelta(minutes=10)
FINE_SPAN = timedelta(hours=24)
HOUR = timedelta(hours=1)
MAX_DAYS = 35
"""A longer window is explored in its last part only."""


@dataclass(frozen=True)
class Timeline:
    """Slots from `start` to `end`; the last one may be cut short by `end`."""

    start: datetime
    fine_start: datetime
    """Whole hour from which on slots are FINE."""
    end: datetime

    @classmethod
    def of(cls, window: Window, lookback: timedelta) -> Timeline:
        """The window and what lies before it."""
        start = max(window.start - lookback, window.end - timedelta(days=MAX_DAYS))
        whole = start.replace(minute=0, second=0, microsecond=0)
        fine = (window.end - FINE_SPAN).replace(minute=0, second=0, microsecond=0)
        return cls(whole, max(whole, fine), window.end)

    @cached_property
    def starts(self) -> list[datetime]:
        """Start of each slot."""
        hours = round((self.fine_start - self.start) / HOUR)
        fine = -((self.fine_start - self.end) // FINE_SLOT)
        return [
            *(self.start + n * HOUR for n in range(hours)),
            *(self.fine_start + n * FINE_SLOT for n in range(fine)),
        ]

    @property
    def slots(self) -> int:
        """How many."""
        return len(self.starts)

    @cached_property
    def hours(self) -> npt.NDArray[np.float64]:
        """Length of each slot in hours."""
        bounds = [*self.starts, self.end]
        return np.array([(late - early) / HOUR for early, late in pairwise(bounds)])

    def slot_of(self, moment: datetime) -> int:
        """The slot that holds a moment between start and end."""
        return bisect_right(self.starts, moment) - 1

    def end_of(self, slot: int) -> datetime:
        """Where a slot ends."""
        return self.starts[slot + 1] if slot + 1 < self.slots else self.end
