"""Incidents, active ones and all there were."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field

from api.http.schemas.parameters import EXAMPLE_CURSOR, NEXT, AsOf, PageParameters, Record
from api.http.schemas.question import Moment
from context_builder.queries import HistoryFilter, IncidentFilter


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


class HistoryParameters(PageParameters):
    """Which incidents."""

    status: list[str] = Field([], description="`active`, `resolved`, as it was at `as_of`.")
    severity: list[str] = Field([], description="Severities: `critical`, `high`, `medium`, `low`.")
    target: list[str] = Field([], description="What was hit, exactly as it was reported.")
    since: Moment | None = Field(None, description="Start of the time span in which they started.")
    until: Moment | None = Field(None, description="End of the time span, which does not belong to it.")
    as_of: AsOf = None

    def to_filter(self) -> HistoryFilter:
        """The filter as the query takes it."""
        return HistoryFilter(
            statuses=tuple(self.status),
            severities=tuple(self.severity),
            targets=tuple(self.target),
            since=self.since,
            until=self.until,
            as_of=self.as_of,
        )


class RecordedIncidentBody(ActiveIncidentBody):
    """One incident, as it was known at the moment asked about."""

    status: str
    resolved_at: datetime | None
    root_cause: str | None = Field(description="Known once the incident is resolved, as `resolution`.")
    resolution: str | None
    provenance: str = Field(description="Who wrote the record: `human`, `model`, `import` or `code`.")
    review: str = Field(description="`draft`, `approved` or `rejected`, as it is now.")
    postmortem: str | None = Field(description="The same of its postmortem; null: it had none.")


class HistoryPageBody(Record):
    """A page of incidents, the newest first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "as_of": "2026-11-20T08:00:42Z",
                    "incidents": [
                        {
                            "id": "inc_0117",
                            "title": "Connection pool exhausted in the router",
                            "severity": "critical",
                            "status": "resolved",
                            "target": "gpt-4/aws",
                            "deployment": "gpt-4/aws",
                            "started_at": "2026-11-18T21:10:00Z",
                            "resolved_at": "2026-11-18T22:05:00Z",
                            "symptoms": "Requests wait in line, then end with 504.",
                            "root_cause": "The pool was capped at 50 connections after a rollout.",
                            "resolution": "Raised the cap to 400.",
                            "provenance": "human",
                            "review": "approved",
                            "postmortem": "draft",
                        }
                    ],
                    "next": EXAMPLE_CURSOR,
                }
            ]
        }
    )

    as_of: datetime
    incidents: list[RecordedIncidentBody]
    next: str | None = Field(description=NEXT)
