"""One configuration change."""

from __future__ import annotations

from typing import ClassVar

from api.ingest.records.fields import LongText, Target, UtcTime
from api.ingest.records.record import NamedRecord


class ChangeRecord(NamedRecord):
    """A parameter that was set, changed or removed."""

    kind: ClassVar[str] = "changes"
    time_field: ClassVar[str] = "changed_at"
    id_prefix: ClassVar[str] = "cfg_"

    changed_at: UtcTime
    target: Target
    parameter: Target
    old_value: LongText | None = None
    new_value: LongText | None = None
    changed_by: Target = "unknown"
