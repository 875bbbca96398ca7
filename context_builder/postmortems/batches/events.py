"""What a run with batches tells while it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from context_builder.postmortems.records import PostmortemText


@dataclass(frozen=True, slots=True)
class Written:
    """A postmortem is stored."""

    text: PostmortemText


@dataclass(frozen=True, slots=True)
class NotWritten:
    """An incident gets none in this run; its call is given back."""

    incident: str
    """Public id."""
    reason: str
    is_failure: bool = True
    """False: there is nothing to do, or another run does it."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """The API has taken a batch."""

    api_id: str
    prompts: int
    worst_cost_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The run looks again after a while."""

    batches: int
    waiting: int
    """Prompts without a result."""
    oldest: timedelta
    """Since the oldest batch was stored."""
    next_look_s: float


@dataclass(frozen=True, slots=True)
class Note:
    """One line that the user should read."""

    message: str


Event = Written | NotWritten | Submitted | Waiting | Note
