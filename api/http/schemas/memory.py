"""Searches of incident memory."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field

from api.http.schemas.parameters import AsOf, Parameters, Record

DEFAULT_LIMIT = 5
MAX_LIMIT = 50


class SearchParameters(Parameters):
    """What to find."""

    text: str = Field(description="What to find past incidents for, in plain words.")
    as_of: AsOf = None
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, description="Incidents at the most.")


class RecollectionBody(Record):
    """A resolved incident that resembles the text."""

    id: str = Field(validation_alias="public_id")
    title: str
    symptoms: str
    target: str | None
    severity: str
    started_at: datetime
    resolved_at: datetime
    root_cause: str | None
    resolution: str | None
    provenance: str = Field(description="Who wrote cause and fix: `human`, `model`, `import` or `code`.")
    status: str = Field(description="`approved`, or `draft` where nobody vouches for cause and fix yet.")
    similarity: float = Field(le=1.0001, description="Cosine of the two texts' vectors.")
    confidence: float = Field(ge=0, le=1, description="How likely it is an answer.")
    recurrences: int = Field(ge=1, description="How often the same was seen by then, itself included.")
    last_seen: datetime


class SearchBody(Record):
    """What memory recalls, best first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "as_of": "2026-11-20T08:00:42Z",
                    "recollections": [
                        {
                            "id": "inc_0117",
                            "title": "Connection pool exhausted in the router",
                            "symptoms": "Requests wait in line, then end with 504.",
                            "target": "gpt-4/aws",
                            "severity": "critical",
                            "started_at": "2026-11-18T21:10:00Z",
                            "resolved_at": "2026-11-18T22:05:00Z",
                            "root_cause": "The pool was capped at 50 connections after a rollout.",
                            "resolution": "Raised the cap to 400.",
                            "provenance": "human",
                            "status": "approved",
                            "similarity": 0.71,
                            "confidence": 0.83,
                            "recurrences": 2,
                            "last_seen": "2026-11-18T21:10:00Z",
                        }
                    ],
                    "nothing_similar": False,
                    "best_similarity": None,
                }
            ]
        }
    )

    as_of: datetime
    recollections: list[RecollectionBody]
    nothing_similar: bool = Field(description="Whether nothing in memory resembles the text enough.")
    best_similarity: float | None = Field(
        description="The closest there was, where nothing was similar; null: nothing had been resolved."
    )
