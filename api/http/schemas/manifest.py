"""The record of a built prompt, as clients see it: the fields of `context_builder.prompt.manifest`."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from context_builder.prompt.manifest import Detail
from context_builder.source import Status


class _Record(BaseModel):
    """Read from the attributes of what the context builder made."""

    model_config = ConfigDict(from_attributes=True)


class WindowBody(_Record):
    """A half-open span of whole UTC minutes, [start, end)."""

    start: datetime
    end: datetime
    origin: str = Field(
        description="Where it came from: the phrase in the question, an argument or the default."
    )


class UnknownNameBody(_Record):
    """A word of the question that looks like an entity of the gateway but is none."""

    name: str
    near: list[str] = Field(description="Known names that are spelled alike.")


class SourceBody(_Record):
    """How reading one source went."""

    name: str
    ref: str = Field(description="Reference of its header line.")
    status: Status
    milliseconds: int
    header: str = Field(description="Its one line that is always shown.")
    kept: int = Field(description="Facts that are in the prompt.")
    cut: int = Field(description="Facts that are not.")
    gaps: list[str] = Field(description="What it says cannot be known for this moment.")
    error: str | None = Field(None, description="What went wrong; null: nothing did.")
    on_topic: bool = Field(description="Whether it helps with a topic of the question.")
    not_shown: list[str] = Field(description="Its facts that the prompt leaves out, counted by kind.")
    folded: bool = Field(description="Whether the prompt only names it, with its status.")
    stable: bool = Field(description="Whether it stands in the part of the prompt that is cached.")


class FactBody(_Record):
    """What became of one fact."""

    ref: str
    source: str
    detail: Detail
    tokens: int = Field(description="Upper bound of what is shown; 0 where it is not.")
    reason: str
    text: str = Field(description="As shown; the full text where it is not.")
    importance: float = Field(description="From 0 to 1 within its source.")
    same_as: str | None = Field(description="Reference of the fact that states the same.")


class ManifestBody(_Record):
    """What was read, what was shown, what was cut and why."""

    question: str
    as_of: datetime
    live: bool = Field(description="Whether `as_of` is the present.")
    window: WindowBody
    scope: list[str] = Field(description="What the question is restricted to, in words.")
    unknown_names: list[UnknownNameBody]
    topics: list[str]
    token_budget: int
    token_bound: int = Field(description="Upper bound of the prompt, in tokens; never above the budget.")
    build_ms: int
    sources: list[SourceBody]
    facts: list[FactBody] = Field(description="In order of utility, those that were cut too.")
    prompt_sha256: str


EXAMPLE: JsonDict = {
    "question": "Which deployments are unhealthy?",
    "as_of": "2026-11-20T08:00:00Z",
    "live": True,
    "window": {
        "start": "2026-11-19T08:00:00Z",
        "end": "2026-11-20T08:00:00Z",
        "origin": "the last 24 hours, since the question names no time",
    },
    "scope": [],
    "unknown_names": [],
    "topics": ["health"],
    "token_budget": 8000,
    "token_bound": 412,
    "build_ms": 38,
    "sources": [
        {
            "name": "health",
            "ref": "H0",
            "status": "ok",
            "milliseconds": 12,
            "header": "1 of 6 deployments is unhealthy",
            "kept": 1,
            "cut": 0,
            "gaps": [],
            "on_topic": True,
            "not_shown": [],
            "folded": False,
            "stable": False,
        }
    ],
    "facts": [
        {
            "ref": "H1",
            "source": "health",
            "detail": "full",
            "tokens": 31,
            "reason": "fits",
            "text": "gpt-4/aws is unhealthy since 2026-11-20 07:12",
            "importance": 0.9,
            "same_as": None,
        }
    ],
    "prompt_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}
