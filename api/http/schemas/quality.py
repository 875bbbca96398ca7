"""Quality by model and task type."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from api.http.schemas.parameters import EXAMPLE_WINDOW, Record


class QualityBody(Record):
    """Scores of one group of requests."""

    model: str | None = Field(description="null: of all models.")
    task_type: str | None = Field(description="Empty: requests without one; null: of all task types.")
    requests: int
    answered: int = Field(description="Requests that succeeded.")
    scored: int
    coverage: float | None = Field(description="Scored over all requests: scores arrive hours later.")
    mean: float | None = Field(description="From 0 to 1; null without scores.")
    deviation: float | None = Field(description="Standard deviation of the scores.")


_QUALITY: JsonDict = {
    "model": None,
    "task_type": None,
    "requests": 1000,
    "answered": 940,
    "scored": 600,
    "coverage": 0.6,
    "mean": 0.871,
    "deviation": 0.06,
}


class QualitySummaryBody(Record):
    """Scores of a window of whole hours; the groups of each list add up to the whole."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                EXAMPLE_WINDOW
                | {
                    "newest_score_hour": "2026-11-20T07:00:00Z",
                    "overall": _QUALITY,
                    "by_model": [_QUALITY | {"model": "gpt-4"}],
                    "by_task_type": [_QUALITY | {"task_type": "chat"}],
                    "by_model_and_task_type": [_QUALITY | {"model": "gpt-4", "task_type": "chat"}],
                }
            ]
        }
    )

    as_of: datetime
    since: datetime
    until: datetime
    newest_score_hour: datetime | None = Field(
        description="Start of the hour in which the last of these scores arrived."
    )
    overall: QualityBody
    by_model: list[QualityBody] = Field(description="Most requests first, as all of these.")
    by_task_type: list[QualityBody]
    by_model_and_task_type: list[QualityBody]
