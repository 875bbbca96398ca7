"""Active incidents."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field

from api.schemas.parameters import NEXT, AsOf, PageParameters, Record
from context_builder.queries import IncidentFilter


class IncidentParameters(PageParameters):
    """Which incidents."""

    deployment: str | None = Field(None, description="Those that hit it, its model or its backend.")
    severity: list[str] = Field([], description="Severities: `critical`, `high`, `medium`, `low`.")
    as_of: AsOf = None

    def to_filter(self) -> IncidentFilter:
        """The filter as the query takes it."""
        return IncidentFilter(deployment=self.deployment, severities=tuple(self.severity), as_of=self.as_of)


class ActiveIncidentBody(Record):
    """One incident that was not over."""

    id: str
    title: str
    severity: str
    target: str | None = Field(description="What was hit, as reported.")
    deployment: str | None = Field(description="The deployment that was hit, where it was one.")
    started_at: datetime
    symptoms: str


class IncidentPageBody(Record):
    """A page of incidents, the newest first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "as_of": "2026-11-20T08:00:42Z",
                    "incidents": [
                        {
                            "id": "inc_0119",
                            "title": "gpt-4/aws times out",
                            "severity": "high",
                            "target": "gpt-4/aws",
                            "deployment": "gpt-4/aws",
                            "started_at": "2026-11-20T07:10:00Z",
                            "symptoms": "One request in ten waits for 30 seconds.",
                        }
                    ],
                    "next": None,
                }
            ]
        }
    )

    as_of: datetime
    incidents: list[ActiveIncidentBody]
    next: str | None = Field(description=NEXT)
