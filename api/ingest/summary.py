"""What a load has done so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from api.ingest.files.lines import Row
from api.ingest.store import StoreResult

_COUNTS = ("added", "updated", "already_present", "deployments_created", "users_created")


@dataclass(slots=True, kw_only=True)
class IngestSummary:
    """Counts of one run; every row read is added, updated, already present or rejected."""

    rows: int = 0
    added: int = 0
    updated: int = 0
    already_present: int = 0
    rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    """Rejected rows by field and kind of problem; a row with several problems counts under each."""
    deployments_created: int = 0
    users_created: int = 0
    seconds: float = 0.0
    remarks: dict[str, int] = field(default_factory=dict)
    """How often something was decided about values that were loaded, by field and decision."""
    rejects_file: str | None = None
    """Where the rejected rows are; None if there are none."""

    @property
    def rows_per_second(self) -> float:
        """Rows read, rejected ones included."""
        return self.rows / self.seconds if self.seconds else 0.0

    @property
    def stored(self) -> int:
        """Rows of the file that are in the database now."""
        return self.added + self.updated + self.already_present

    def count(self, result: StoreResult, rejects: Iterable[Row], remarks: Counter[str]) -> None:
        """Add what became of one batch."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(result, name))
        reasons = Counter(self.reasons)
        for row in rejects:
            self.rejected += 1
            reasons.update(problem.label for problem in row.problems)
        self.reasons = dict(reasons.most_common())
        self.remarks = dict(Counter(self.remarks) + remarks)
        self.rows = self.stored + self.rejected

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as a JSON document."""
        return asdict(self) | {
            "seconds": round(self.seconds, 3),
            "rows_per_second": round(self.rows_per_second, 1),
        }


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a load is after a batch."""

    summary: IngestSummary
    """Still counting; read it, do not keep it."""
    position: int
    """Bytes of the file read."""
    size: int
    """Bytes of the file."""


Report = Callable[[Progress], None]
