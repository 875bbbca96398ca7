"""Bodies that differ from the context builder's results, or have none behind them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from api.http.worker_load import LoadState
from context_builder.prompt.manifest import Manifest
from context_builder.prompt.prompt import Prompt
from context_builder.telemetry.polled.pollers import PollerReport
from context_builder.text.wire import WIRE
from memory.recall.results import Recall


class Health(StrEnum):
    """Health of the service or of one of its parts."""

    OK = "ok"
    DEGRADED = "degraded"
    """Questions are answered, but with less context."""
    UNAVAILABLE = "unavailable"
    """Questions cannot be answered."""
    DRAINING = "draining"
    """They still are, but the service is about to stop: send them elsewhere."""


@dataclass(frozen=True, slots=True)
class LivenessBody:
    """Liveness of the process, and what it is."""

    __pydantic_config__ = WIRE

    status: Health
    version: str
    """Version of Arcpoint."""
    database: str
    """Key of its database, equal for processes that use the same one."""
    model: str | None
    """The model that answers; null without one."""
    load: LoadState | None = None


@dataclass(frozen=True, slots=True)
class PartBody:
    """Health of one part."""

    status: Health
    reason: str | None = None
    """What is wrong and what to do; None if nothing is."""


@dataclass(frozen=True, slots=True)
class ReadinessBody:
    """Whether questions can be answered now."""

    __pydantic_config__ = WIRE

    status: Health
    """The worst of the parts; `draining` once the service is to stop, whatever its parts are."""
    database: PartBody
    memory: PartBody
    embedder: PartBody
    load: LoadState


@dataclass(frozen=True, slots=True)
class ContextBody:
    """The prompt of a question and the record of how it was built; nothing was sent to a model."""

    __pydantic_config__ = WIRE

    prompt: Prompt
    manifest: Manifest


class DecisionBody(BaseModel):
    """A reviewer's decision."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [{"by": "ada"}]})

    by: str = Field(description="Name of the reviewer.")


class RecalledIncidentBody(BaseModel):
    """A resolved incident that resembles the text; database ids stay inside."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    id: str = Field(validation_alias="public_id")
    title: str
    symptoms: str
    target: str | None
    severity: str
    started_at: datetime
    resolved_at: datetime
    root_cause: str | None
    resolution: str | None
    provenance: str
    """Author of root cause and resolution: `human`, `model`, `import` or `code`."""
    status: str
    """`approved`, or `draft` if nobody has approved root cause and resolution yet."""
    similarity: float
    """Cosine similarity of the embeddings of the two texts, at most 1."""
    confidence: float
    """Estimated probability of a relevant match, from 0 to 1."""
    recurrences: int
    """Number of occurrences of the same incident up to `as_of`, including this one."""
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class SearchBody:
    """Past incidents similar to a text, best match first."""

    __pydantic_config__ = WIRE

    as_of: datetime
    recollections: tuple[RecalledIncidentBody, ...]
    nothing_similar: bool
    """True if no incident resembles the text closely enough."""
    best_similarity: float | None
    """The closest match if nothing was similar enough; None if no incident had been resolved yet."""

    @classmethod
    def of(cls, recall: Recall, as_of: datetime) -> SearchBody:
        """Return the body of a recall with one query."""
        return cls(
            as_of=as_of,
            recollections=tuple(map(RecalledIncidentBody.model_validate, recall.recollections)),
            nothing_similar=bool(recall.misses),
            best_similarity=recall.misses[0].best_similarity if recall.misses else None,
        )


@dataclass(frozen=True, slots=True)
class PollersBody:
    """The pollers of all processes on this database."""

    __pydantic_config__ = WIRE

    pollers: list[PollerReport]
    reason: str | None
    """Why this process must not poll although a file says what; None if it may, or has no file."""
