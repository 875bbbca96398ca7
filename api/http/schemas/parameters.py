"""Query parameters; each class is converted to a filter of the queries, whose field names it uses."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from api.http.schemas.question import Moment
from context_builder.queries.latency_trends import BUCKETS
from context_builder.queries.page import DEFAULT_LIMIT, MAX_LIMIT
from context_builder.spend.caps import DEFAULT_DAYS, MAX_DAYS

_Filter = TypeVar("_Filter")

DEFAULT_RECALLED = 5
MAX_RECALLED = 50


def _names(parameter: str, description: str) -> Any:
    """Return the field of a parameter that can be repeated."""
    return Field((), alias=parameter, description=description)


_DEPLOYMENTS = _names("deployment", "Deployments, such as `gpt-4/aws`. Lists repeat the parameter.")
_MODELS = _names("model", "Models, such as `gpt-4`.")
_BACKENDS = _names("backend", "Backends, such as `aws`.")
_TIERS = _names("tier", "Tiers: `premium`, `standard`, `budget`.")
_SEVERITIES = _names("severity", "Severities: `critical`, `high`, `medium`, `low`.")

AsOf = Annotated[Moment | None, Field(description="Answer as of this time, with its time zone, not now.")]
Since = Annotated[Moment | None, Field(description="Start of the time range, with its time zone.")]
Until = Annotated[Moment | None, Field(description="End of the time range, exclusive.")]


class Parameters(BaseModel):
    """Base of all; a misspelled parameter is refused, since ignoring it would answer another question."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def to(self, kind: type[_Filter]) -> _Filter:
        """Convert to a filter dataclass with the same field names."""
        return kind(**{field.name: getattr(self, field.name) for field in fields(kind)})  # type: ignore[arg-type]


class AsOfParameters(Parameters):
    """Point in time."""

    as_of: AsOf = None


class PageParameters(Parameters):
    """Part of a list."""

    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, description="Maximum number of rows.")
    cursor: str | None = Field(
        None, description="`next` of the previous page, with the same filters; omit it for the first page."
    )


class DeploymentParameters(PageParameters):
    """Filter of the deployment status."""

    deployments: tuple[str, ...] = _DEPLOYMENTS
    models: tuple[str, ...] = _MODELS
    backends: tuple[str, ...] = _BACKENDS
    statuses: tuple[str, ...] = _names("status", "Statuses: `healthy`, `degraded`, `down`, `unknown`.")
    as_of: AsOf = None


class IncidentParameters(PageParameters):
    """Filter of the active incidents."""

    deployment: str | None = Field(
        None, description="Incidents that affect it, directly or through its model or backend."
    )
    severities: tuple[str, ...] = _SEVERITIES
    as_of: AsOf = None


class HistoryParameters(PageParameters):
    """Filter of the incident history."""

    statuses: tuple[str, ...] = _names("status", "Statuses as of `as_of`: `active`, `resolved`.")
    severities: tuple[str, ...] = _SEVERITIES
    targets: tuple[str, ...] = _names("target", "Affected targets, exactly as they were reported.")
    since: Since = None
    until: Until = None
    as_of: AsOf = None


class RequestParameters(PageParameters):
    """Filter of the request log."""

    users: tuple[str, ...] = _names("user", "Users, by public id.")
    tiers: tuple[str, ...] = _TIERS
    deployments: tuple[str, ...] = _DEPLOYMENTS
    models: tuple[str, ...] = _MODELS
    backends: tuple[str, ...] = _BACKENDS
    statuses: tuple[str, ...] = _names(
        "status", "Statuses: `success`, `error`, `timeout`, `rate_limited`, `pending`."
    )
    since: Since = None
    until: Until = None


class TrafficParameters(Parameters):
    """Filter of the traffic statistics."""

    deployments: tuple[str, ...] = _DEPLOYMENTS
    models: tuple[str, ...] = _MODELS
    backends: tuple[str, ...] = _BACKENDS
    tiers: tuple[str, ...] = _TIERS
    since: Since = None
    until: Until = None
    as_of: AsOf = None


class LatencyParameters(TrafficParameters):
    """Filter of the latency trends, and the width of their buckets."""

    bucket: str | None = Field(
        None, description=f"Width: {', '.join(BUCKETS)}; by default one that makes a readable chart."
    )


class SpendParameters(Parameters):
    """Days of the report on spending."""

    days: int = Field(DEFAULT_DAYS, ge=1, le=MAX_DAYS, description="So many days, today included.")


class SearchParameters(Parameters):
    """Search of incident memory."""

    text: str = Field(description="Text to find similar past incidents for, in plain words.")
    as_of: AsOf = None
    limit: int = Field(DEFAULT_RECALLED, ge=1, le=MAX_RECALLED, description="Maximum number of incidents.")
