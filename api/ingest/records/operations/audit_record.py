"""One audit event."""

from __future__ import annotations

from typing import ClassVar

from api.ingest.records.fields import LongText, Target, UtcTime
from api.ingest.records.record import Record


class AuditRecord(Record):
    """What a person or a program did to the gateway."""

    kind: ClassVar[str] = "audit"
    time_field: ClassVar[str] = "occurred_at"

    occurred_at: UtcTime
    actor: Target
    action: Target
    target: Target
    detail: LongText | None = None
