"""Request volume."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from api.http.schemas.parameters import EXAMPLE_WINDOW, Record


class VolumeBody(Record):
    """Requests of one group."""

    name: str = Field(description="Of the tier, model, backend or deployment; `all` of the whole.")
    requests: int
    failed: int = Field(description="Ended with an error, a timeout or a rate limit.")
    failure_rate: float | None = Field(description="Failed over all requests; null without requests.")
    pending: int
    statuses: dict[str, int] = Field(description="Requests by status, those that occur.")


def _example(name: str) -> JsonDict:
    return {
        "name": name,
        "requests": 1000,
        "failed": 60,
        "failure_rate": 0.06,
        "pending": 2,
        "statuses": {"success": 938, "error": 40, "timeout": 20, "pending": 2},
    }


class RequestVolumeBody(Record):
    """Requests of a window; the groups of each list add up to the total."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                EXAMPLE_WINDOW
                | {
                    "total": _example("all"),
                    "by_tier": [_example("premium")],
                    "by_model": [_example("gpt-4")],
                    "by_backend": [_example("aws")],
                    "by_deployment": [_example("gpt-4/aws")],
                }
            ]
        }
    )

    as_of: datetime
    since: datetime
    until: datetime
    total: VolumeBody
    by_tier: list[VolumeBody] = Field(description="Most requests first, as all of these.")
    by_model: list[VolumeBody]
    by_backend: list[VolumeBody]
    by_deployment: list[VolumeBody]
