"""One health check."""

from __future__ import annotations

from typing import Annotated, ClassVar

from api.ingest.records.fields import AnyCase, DeploymentName, Latency, LongText, UtcTime
from api.ingest.records.record import Record
from models import DeploymentStatus


class HealthRecord(Record):
    """One probe of one deployment; its transitions are derived from it."""

    kind: ClassVar[str] = "health"
    time_field: ClassVar[str] = "checked_at"

    deployment: DeploymentName
    checked_at: UtcTime
    status: Annotated[DeploymentStatus, AnyCase]
    latency_ms: Latency | None = None
    error: LongText | None = None
