"""One incident."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import ValidationInfo, field_validator

from api.ingest.records.fields import AnyCase, LongText, Target, Title, UtcTime
from api.ingest.records.problems import ValueProblem
from api.ingest.records.record import NamedRecord
from models import Severity


class IncidentRecord(NamedRecord):
    """An incident as a file or a receiver reports it; active if it has no `resolved_at`."""

    kind: ClassVar[str] = "incidents"
    time_field: ClassVar[str] = "started_at"
    id_prefix: ClassVar[str] = "inc_"

    title: Title
    symptoms: LongText | None = None
    target: Target | None = None
    severity: Annotated[Severity, AnyCase]
    started_at: UtcTime
    resolved_at: UtcTime | None = None
    root_cause: LongText | None = None
    resolution: LongText | None = None

    @field_validator("resolved_at")
    @classmethod
    def _after_the_start(cls, resolved_at: datetime | None, info: ValidationInfo) -> datetime | None:
        started_at = info.data.get("started_at")
        if resolved_at and started_at and resolved_at < started_at:
            raise ValueProblem("before started_at", f"{resolved_at} < {started_at}")
        return resolved_at
