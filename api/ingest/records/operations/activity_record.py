"""One action of a user."""

from __future__ import annotations

from typing import ClassVar

from api.ingest.records.fields import LongText, Name, Target, UtcTime
from api.ingest.records.record import Record


class ActivityRecord(Record):
    """What a user did other than a request: a key created, a limit requested."""

    kind: ClassVar[str] = "activity"
    time_field: ClassVar[str] = "occurred_at"

    user: Name
    occurred_at: UtcTime
    action: Target
    detail: LongText | None = None
