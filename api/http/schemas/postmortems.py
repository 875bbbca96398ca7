"""Postmortems, and what people decide about them."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from api.http.schemas.answer import Usd
from api.http.schemas.parameters import Record


class PostmortemBody(Record):
    """The postmortem of one incident. Money is US dollars, exact, as text."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "incident": "inc_0117",
                    "status": "approved",
                    "provenance": "model",
                    "markdown": "# Postmortem: Connection pool exhausted in the router\n\n## Summary\n\n...",
                    "summary": "The router ran out of connections for 55 minutes.",
                    "root_cause": "The pool was capped at 50 connections after a rollout.",
                    "resolution": "Raised the cap to 400.",
                    "template": "default",
                    "model": "claude-sonnet-5-5",
                    "cost_usd": "0.0312",
                    "question": "ans_4f0c3f6e8f5a4c0c9a5d0f6f0a2b1c3d",
                    "created_at": "2026-11-19T06:00:12Z",
                    "edited_at": None,
                    "reviewed_at": "2026-11-19T09:14:00Z",
                    "reviewed_by": "ada",
                }
            ]
        }
    )

    incident: str = Field(description="Public id of the incident.")
    status: str = Field(description="`draft`, `approved` or `rejected`.")
    provenance: str = Field(
        description="Who wrote the text as it is now: `human`, `model`, `import` or `code`."
    )
    markdown: str
    summary: str
    root_cause: str | None = Field(description="What the text says of it, as `resolution`.")
    resolution: str | None
    template: str | None
    model: str | None = Field(description="null: no model was called.")
    cost_usd: Usd
    question: str | None = Field(
        description="The logged question whose manifest replays the prompt; null: there is none."
    )
    created_at: datetime
    edited_at: datetime | None = Field(description="When a person last changed the text.")
    reviewed_at: datetime | None
    reviewed_by: str | None


class DecisionBody(BaseModel):
    """Who approves or rejects."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [{"by": "ada"}]})

    by: str = Field(description="Name of the person who decides.")
