"""One quality score."""

from __future__ import annotations

from typing import ClassVar

from api.ingest.records.fields import Name, Score, UtcTime
from api.ingest.records.record import Record


class QualityRecord(Record):
    """A score in [0, 1] of one request; the first one counts."""

    kind: ClassVar[str] = "quality"
    time_field: ClassVar[str] = "scored_at"

    request: Name
    """Id of the request that was scored."""
    score: Score
    scorer: Name
    scored_at: UtcTime
