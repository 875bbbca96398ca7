"""What a load has done so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What storing one batch changed."""

    added: int = 0
    updated: int = 0
    already_present: int = 0
    deployments_created: int = 0
    users_created: int = 0


@dataclass(slots=True, kw_only=True)
class IngestSummary:
    """Counts of one run; every row read is added, updated, already present or rejected."""

    rows: int = 0
    added: int = 0
    updated: int = 0
    already_present: int = 0
    rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    """Rejected rows by kind of reason."""
    deployments_created: int = 0
    users_created: int = 0
    seconds: float = 0.0
    rejects_file: str | None = None
    """Where the rejected rows are; None when there are none."""

    @property
    def rows_per_second(self) -> float:
        """Rows read, whatever became of them."""
        return self.rows / self.seconds if self.seconds else 0.0

    @property
    def stored(self) -> int:
        """Rows of the file that are in the database now."""
        return self.added + self.updated + self.already_present

    def count(self, stored: Stored) -> None:
        """Adds what one batch changed."""
        for name, number in asdict(stored).items():
            setattr(self, name, getattr(self, name) + number)

    def as_dict(self) -> dict[str, Any]:
        """The counts as a JSON document."""
        return asdict(self) | {
            "seconds": round(self.seconds, 3),
            "rows_per_second": round(self.rows_per_second, 1),
        }


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a load is, told after each batch."""

    summary: IngestSummary
    """Still counting; read it, do not keep it."""
    position: int
    """Bytes of the file read."""
    size: int
    """Bytes of the file."""


Report = Callable[[Progress], None]
