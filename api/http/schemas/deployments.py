"""The status of deployments."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field

from api.http.schemas.parameters import (
    EXAMPLE_CURSOR,
    NEXT,
    AsOf,
    Backends,
    Deployments,
    Models,
    PageParameters,
    Record,
)
from context_builder.queries import DeploymentFilter


class DeploymentParameters(PageParameters):
    """Which deployments."""

    deployment: Deployments = Field([])
    model: Models = Field([])
    backend: Backends = Field([])
    status: list[str] = Field([], description="Statuses: `healthy`, `degraded`, `down`, `unknown`.")
    as_of: AsOf = None

    def to_filter(self) -> DeploymentFilter:
        """The filter as the query takes it."""
        return DeploymentFilter(
            deployments=tuple(self.deployment),
            models=tuple(self.model),
            backends=tuple(self.backend),
            statuses=tuple(self.status),
            as_of=self.as_of,
        )


class DeploymentStateBody(Record):
    """One deployment."""

    id: str
    model: str
    backend: str
    region: str | None
    version: str | None
    capacity_rpm: int | None = Field(description="Requests per minute that it is provisioned for.")
    status: str = Field(description="`unknown` where no report tells of the moment.")
    reason: str | None
    since: datetime | None = Field(description="When it entered this status.")
    reported_at: datetime | None
    stale: bool = Field(description="The report is older than 15 minutes.")
    overwritten: bool = Field(
        description="The recorded report is later than `as_of`: the one of that moment is not known."
    )


class DeploymentPageBody(Record):
    """A page of deployments, the newest first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "as_of": "2026-11-20T08:00:42Z",
                    "deployments": [
                        {
                            "id": "gpt-4/aws",
                            "model": "gpt-4",
                            "backend": "aws",
                            "region": "us-east-1",
                            "version": "2026.11.2",
                            "capacity_rpm": 600,
                            "status": "degraded",
                            "reason": "2 of 3 probes timed out",
                            "since": "2026-11-20T07:12:00Z",
                            "reported_at": "2026-11-20T08:00:12Z",
                            "stale": False,
                            "overwritten": False,
                        }
                    ],
                    "next": EXAMPLE_CURSOR,
                }
            ]
        }
    )

    as_of: datetime
    deployments: list[DeploymentStateBody]
    next: str | None = Field(description=NEXT)
