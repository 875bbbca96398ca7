"""One deployment."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from api.ingest.records.fields import DeploymentName, Name, Rate, UtcTime, storable
from api.ingest.records.record import Record


class DeploymentRecord(Record):
    """What is known of a deployment; a version other than the last one is a rollout."""

    kind: ClassVar[str] = "deployments"
    time_field: ClassVar[str] = "reported_at"

    deployment: DeploymentName
    region: Name | None = None
    version: Name | None = None
    endpoint: Annotated[str, Field(max_length=500), AfterValidator(storable)] | None = None
    capacity_rpm: Rate | None = None
    reported_at: UtcTime
