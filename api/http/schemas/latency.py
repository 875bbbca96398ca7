"""Latency trends."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from api.http.schemas.parameters import EXAMPLE_WINDOW, Record, TrafficParameters
from context_builder.queries.latency_trends import BUCKETS


class LatencyParameters(TrafficParameters):
    """Which traffic, in which buckets."""

    bucket: str | None = Field(
        None, description=f"Width: {', '.join(BUCKETS)}; by default one that makes a readable chart."
    )


class PercentilesBody(Record):
    """Latency of a span in ms, within 2 % of a sample; null without timed requests."""

    since: datetime
    until: datetime
    timed: int = Field(description="Requests that have a latency, however they ended.")
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


_PERCENTILES: JsonDict = {"timed": 1250, "p50_ms": 840.5, "p95_ms": 3120.0, "p99_ms": 8810.0}


class LatencyTrendsBody(Record):
    """Percentiles of a window, whole and in buckets."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                EXAMPLE_WINDOW
                | {
                    "bucket": "1d",
                    "overall": EXAMPLE_WINDOW | _PERCENTILES,
                    "buckets": [EXAMPLE_WINDOW | _PERCENTILES],
                }
            ]
        }
    )

    as_of: datetime
    since: datetime
    until: datetime
    bucket: str
    overall: PercentilesBody
    buckets: list[PercentilesBody] = Field(
        description="In order, without a hole; the first and the last are cut off at the window's ends."
    )
