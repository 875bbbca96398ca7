"""How the service is doing."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Health(StrEnum):
    """How the service or one of its parts is doing."""

    OK = "ok"
    DEGRADED = "degraded"
    """Questions are answered, but with less in them."""
    UNAVAILABLE = "unavailable"
    """Questions cannot be answered."""


class LivenessBody(BaseModel):
    """The process is alive."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ok"}]})

    status: Health


class PartBody(BaseModel):
    """How one part is doing."""

    status: Health
    reason: str | None = Field(None, description="What is wrong and what to do; null: nothing is.")


class ReadinessBody(BaseModel):
    """Whether questions can be answered now."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "status": "degraded",
                    "database": {"status": "ok", "reason": None},
                    "memory": {
                        "status": "degraded",
                        "reason": "incident memory has no index yet; run `arcpoint memory sync`",
                    },
                    "embedder": {"status": "ok", "reason": None},
                }
            ]
        }
    )

    status: Health = Field(description="The worst of the parts.")
    database: PartBody
    memory: PartBody
    embedder: PartBody
