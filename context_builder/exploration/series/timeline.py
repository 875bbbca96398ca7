"""The time slots in which changes are detected: hours, and ten minutes in the last day. Pure."""

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
"""Of a longer window only the last part is explored."""


@dataclass(frozen=True)
class Timeline:
    """Slots from `start` to `end`; the last one may be shorter."""

    start: datetime
    fine_start: datetime
    """Whole hour from which slots are FINE_SLOT long."""
    end: datetime

    @classmethod
    def of(cls, window: Window, lookback: timedelta) -> Timeline:
        """Return the timeline of a window and the time before it."""
        start = max(window.start - lookback, window.end - timedelta(days=MAX_DAYS))
        whole = start.replace(minute=0, second=0, microsecond=0)
        fine = (window.end - FINE_SPAN).replace(minute=0, second=0, microsecond=0)
        return cls(whole, max(whole, fine), window.end)

    @cached_property
    def starts(self) -> list[datetime]:
        """Start of each slot, in order."""
        hours = round((self.fine_start - self.start) / HOUR)
        fine = -((self.fine_start - self.end) // FINE_SLOT)
        return [
            *(self.start + n * HOUR for n in range(hours)),
            *(self.fine_start + n * FINE_SLOT for n in range(fine)),
        ]

    @property
    def slots(self) -> int:
        """Number of slots."""
        return len(self.starts)

    @cached_property
    def hours(self) -> npt.NDArray[np.float64]:
        """Length of each slot in hours."""
        bounds = [*self.starts, self.end]
        return np.array([(late - early) / HOUR for early, late in pairwise(bounds)])

    @cached_property
    def bounds(self) -> npt.NDArray[np.float64]:
        """Bounds of the slots in hours from `start`, one more than there are slots."""
        return np.concatenate([np.zeros(1), np.cumsum(self.hours)])

    def slot_of(self, moment: datetime) -> int:
        """Return the index of the slot that contains a moment."""
        return bisect_right(self.starts, moment) - 1

    def end_of(self, slot: int) -> datetime:
        """Return the end of a slot."""
        return self.starts[slot + 1] if slot + 1 < self.slots else self.end
