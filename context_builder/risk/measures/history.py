"""Feature store: what was measured of each deployment in each of the last minutes. Pure.

Its memory is bounded: MAX_DEPLOYMENTS rows of KEPT minutes. A deployment without a request for FORGET_AFTER
gives its row away.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from context_builder.risk.measures.series_table import Field, Floats, Places, SeriesTable

MEASURES = (
    *("load_rps", "concurrency", "p50_ms", "p95_ms", "error_share", "limited_share"),
    *("prompt_tokens", "completion_tokens"),
)
"""Columns of a minute. Concurrency is requests in flight by Little's law; tokens are per request."""
KEPT = 60
"""Minutes."""
MAX_DEPLOYMENTS = 20_000
FORGET_AFTER = 1_440
"""Minutes."""
MAX_GAP = 30
"""Minutes without data after which the state of a series starts again."""
MAX_LATE = 60
"""Minutes by which an observation may be late and is left out; beyond that the clock has been set back."""


@dataclass(frozen=True, slots=True)
class Minute:
    """What was measured of some deployments in one minute."""

    number: int
    """Minutes since 1970."""
    deployment_ids: Places
    """Each at most once."""
    measures: Floats
    """Shape (deployments, MEASURES), NaN where nothing was measured."""

    def of(self, deployments: Collection[int]) -> Minute:
        """Return the same without other deployments."""
        chosen = np.isin(self.deployment_ids, list(deployments))
        return Minute(self.number, self.deployment_ids[chosen], self.measures[chosen])


@dataclass(frozen=True, slots=True)
class Advance:
    """How the next minute follows from the last."""

    missing: int = 0
    """Minutes between them."""
    is_late: bool = False
    """It is to be left out."""
    is_break: bool = False
    """The last minutes say nothing about the next: a long gap, or a clock that was set back."""


class History:
    """The last minutes of each deployment, in rings."""

    def __init__(self) -> None:
        self.rows: dict[int, int] = {}
        """Row by deployment."""
        self.last: int | None = None
        """The newest minute."""
        self.refused = 0
        """Values that no measure can have: negative, infinite."""
        self.table = SeriesTable(
            {
                "measures": Field((KEPT, len(MEASURES)), np.nan, "f4"),
                "minutes": Field((KEPT,), -1, "i8"),
                "seen": Field((), -1, "i8"),
            }
        )
        self._free: list[int] = []

    def advance(self, minute: int) -> Advance:
        """Make a minute the newest, unless it is late."""
        last = self.last
        if last is not None and last - MAX_LATE <= minute <= last:
            return Advance(is_late=True)
        self.last = minute
        if last is None:
            return Advance()
        if minute < last or minute - last - 1 > MAX_GAP:
            self.table["seen"][:] = np.where(self.table["seen"] >= 0, minute, -1)
            return Advance(is_break=True)
        return Advance(missing=minute - last - 1)

    def take(self, minute: Minute) -> tuple[Places, Places]:
        """Store a minute; return the rows of its deployments, and those that have a new owner.

        Deployments beyond MAX_DEPLOYMENTS take the rows of those that were seen least recently; if even one
        minute has more, the others are left out.
        """
        numbers = minute.deployment_ids.tolist()
        # Who is here now is not gone, so that none of them has to make room for another.
        self.table["seen"][[self.rows[number] for number in numbers if number in self.rows]] = minute.number
        changed = self._give_rows([number for number in numbers if number not in self.rows], minute.number)
        has_row = np.array([number in self.rows for number in numbers], dtype=np.bool_)
        rows = np.array([self.rows[number] for number in numbers if number in self.rows], dtype=np.int64)
        measures = minute.measures[has_row]
        wrong = ~np.isnan(measures) & ~(np.isfinite(measures) & (measures >= 0))
        self.refused += int(wrong.sum())
        place = minute.number % KEPT
        self.table["measures"][rows, place] = np.where(wrong, np.nan, measures)
        self.table["minutes"][rows, place] = minute.number
        self.table["seen"][rows] = minute.number
        return rows, changed

    def forgotten(self) -> list[int]:
        """Give away the rows of deployments that are gone; return these deployments."""
        last = self.last
        seen = self.table["seen"]
        if last is None or not ((seen >= 0) & (seen < last - FORGET_AFTER)).any():
            return []
        gone = [number for number, row in self.rows.items() if seen[row] < last - FORGET_AFTER]
        self._release(gone)
        return gone

    def window(self, measure: str, minutes: int) -> Floats:
        """Return a measure over the last minutes, the newest first; shape (rows, minutes), NaN where none."""
        last = self.last or 0
        places = [(last - back) % KEPT for back in range(min(minutes, KEPT))]
        known = self.table["minutes"][:, places] == last - np.arange(len(places))
        values = self.table["measures"][:, places, MEASURES.index(measure)]
        return np.where(known, values, np.nan).astype(np.float64)

    def _give_rows(self, new: list[int], minute: int) -> Places:
        missing = len(new) - len(self._free)
        size = len(self.table["seen"])
        if missing > 0 and size < MAX_DEPLOYMENTS:
            grown = min(MAX_DEPLOYMENTS, max(size + missing, 2 * size))
            self._free += range(grown - 1, size - 1, -1)
            self.table.grow(grown)
        short = len(new) - len(self._free)
        if short > 0:
            seen = self.table["seen"]
            gone = [number for number, row in self.rows.items() if seen[row] != minute]
            self._release(sorted(gone, key=lambda number: (seen[self.rows[number]], number))[:short])
            new = new[: len(self._free)]
        for number in new:
            row = self.rows[number] = self._free.pop()
            self.table["seen"][row] = minute
        return np.array([self.rows[number] for number in new], dtype=np.int64)

    def _release(self, deployments: Iterable[int]) -> None:
        rows = [self.rows.pop(number) for number in deployments]
        self.table.clear(rows)
        self._free += rows
