"""One state transition."""

from __future__ import annotations

from typing import Annotated, ClassVar

from api.ingest.records.fields import AnyCase, DeploymentName, LongText, UtcTime
from api.ingest.records.record import Record
from models import DeploymentStatus


class StateRecord(Record):
    """A change of the health of a deployment, for histories without their checks."""

    kind: ClassVar[str] = "states"
    time_field: ClassVar[str] = "changed_at"

    deployment: DeploymentName
    changed_at: UtcTime
    to_status: Annotated[DeploymentStatus, AnyCase]
    from_status: Annotated[DeploymentStatus, AnyCase] = DeploymentStatus.UNKNOWN
    reason: LongText | None = None
