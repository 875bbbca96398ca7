"""One maintenance window."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from pydantic import ValidationInfo, field_validator

from api.ingest.records.fields import LongText, Name, UtcTime
from api.ingest.records.problems import ValueProblem
from api.ingest.records.record import Record


class MaintenanceRecord(Record):
    """Announced work on a backend; the same backend and start again change it."""

    kind: ClassVar[str] = "maintenance"

    backend: Name
    starts_at: UtcTime
    ends_at: UtcTime
    announced_at: UtcTime
    reason: LongText

    @field_validator("ends_at")
    @classmethod
    def _after_the_start(cls, ends_at: datetime, info: ValidationInfo) -> datetime:
        starts_at = info.data.get("starts_at")
        if starts_at and ends_at <= starts_at:
            raise ValueProblem("not after starts_at", f"{ends_at} <= {starts_at}")
        return ends_at
