"""What storing a batch changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from api.ingest.records import FieldProblem


class Outcome(StrEnum):
    """What became of one record that was stored or need not be."""

    ADDED = "added"
    UPDATED = "updated"
    PRESENT = "present"
    """It says nothing new: it is stored already, or something newer is."""


@dataclass(slots=True, kw_only=True)
class StoreResult:
    """What became of each record of a batch."""

    outcomes: Sequence[Outcome | FieldProblem]
    """By the index of the record; a problem where it contradicts what is stored."""
    deployments_created: int = 0
    users_created: int = 0

    @property
    def added(self) -> int:
        """Count the records that are new."""
        return self.outcomes.count(Outcome.ADDED)

    @property
    def updated(self) -> int:
        """Count the records that changed what was stored."""
        return self.outcomes.count(Outcome.UPDATED)

    @property
    def already_present(self) -> int:
        """Count the records that said nothing new."""
        return self.outcomes.count(Outcome.PRESENT)

    @property
    def contradictions(self) -> dict[int, FieldProblem]:
        """Return the problems of records that contradict what is stored, by their index in the batch."""
        return {index: each for index, each in enumerate(self.outcomes) if isinstance(each, FieldProblem)}
