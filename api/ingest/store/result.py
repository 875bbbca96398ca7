"""What storing a batch changed."""

from __future__ import annotations

from dataclasses import dataclass, field

from api.ingest.records import FieldProblem


@dataclass(slots=True, kw_only=True)
class StoreResult:
    """Counts; every record is added, updated, already present or a contradiction."""

    added: int = 0
    updated: int = 0
    already_present: int = 0
    deployments_created: int = 0
    users_created: int = 0
    contradictions: dict[int, FieldProblem] = field(default_factory=dict)
    """Records that contradict what is stored, by their index in the batch."""
