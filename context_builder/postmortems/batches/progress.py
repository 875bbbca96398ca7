"""Progress events of a run through the Message Batches API."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from context_builder.postmortems.records import StoredPostmortem


@dataclass(frozen=True, slots=True)
class PostmortemWritten:
    """A postmortem was stored."""

    text: StoredPostmortem


@dataclass(frozen=True, slots=True)
class NotWritten:
    """An incident gets no postmortem in this run; its call was released."""

    incident: str
    """Public id."""
    reason: str
    is_failure: bool = True
    """False: there is nothing to do, or another run does it."""


@dataclass(frozen=True, slots=True)
class BatchSubmitted:
    """The API accepted a batch."""

    api_id: str
    prompts: int
    worst_cost_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingForBatches:
    """The run waits before it polls again."""

    batches: int
    prompts: int
    """Prompts without a result."""
    oldest: timedelta
    """Age of the oldest batch."""
    next_poll_s: float


@dataclass(frozen=True, slots=True)
class Notice:
    """One line that the user should read."""

    message: str


Progress = PostmortemWritten | NotWritten | BatchSubmitted | WaitingForBatches | Notice
