"""The contract of a language model that answers many prompts at once within a day, for less."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from context_builder.errors import ContextBuilderError
from context_builder.llm.chat_model import Reply
from context_builder.prompt.prompt import Prompt

RESULTS_KEPT = timedelta(days=29)
"""From the creation of a batch; after that its replies are gone."""


class BatchState(StrEnum):
    """What the API does with a batch."""

    IN_PROGRESS = "in_progress"
    CANCELING = "canceling"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStatus:
    """A batch as the API describes it."""

    api_id: str
    state: BatchState
    created_at: datetime
    """By the API's clock."""
    ended_at: datetime | None
    processing: int
    """All requests of the batch until it has ended, then none."""
    succeeded: int
    errored: int
    canceled: int
    expired: int
    has_results: bool
    """Whether it has ended, and so lately that its results are still kept."""

    @property
    def total(self) -> int:
        """How many requests it has."""
        return self.processing + self.succeeded + self.errored + self.canceled + self.expired


@dataclass(frozen=True, slots=True)
class BatchFailure:
    """A prompt of a batch that got no reply, and costs nothing."""

    kind: str
    """`errored`, `canceled` or `expired`, unless the API has learned another word."""
    reason: str
    """One line."""


class BatchUnavailable(ContextBuilderError):
    """The API did not do what it was asked for, and nothing has changed; the reason is one line."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BatchUncertain(BatchUnavailable):
    """The API may have taken the batch, although nothing says so: look for it before submitting again."""


class BatchGone(BatchUnavailable):
    """The API knows no such batch, or keeps its results no more."""


class BatchModel(Protocol):
    """A model that answers many prompts in one batch."""

    @property
    def model(self) -> str:
        """Its id, as prices and documents name it."""
        ...

    @property
    def max_output_tokens(self) -> int:
        """The most that one reply can be billed for as output."""
        ...

    @property
    def most_requests(self) -> int:
        """How many prompts one batch holds at most."""
        ...

    @property
    def most_bytes(self) -> int:
        """The most that the sizes of a batch's prompts may add up to."""
        ...

    @property
    def submit_deadline_s(self) -> float:
        """How long `submit` takes at most, by the event loop's clock."""
        ...

    def size_of(self, custom_id: str, prompt: Prompt) -> int:
        """What a prompt adds to a batch, in bytes. Raises ValueError for one that cannot be sent."""
        ...

    async def submit(self, items: Sequence[tuple[str, Prompt]]) -> str:
        """Hands over prompts by unique custom ids; gives the API's id of the batch.

        Raises BatchUncertain, and BatchUnavailable where the batch was not taken for certain.
        """
        ...

    async def status(self, api_id: str) -> BatchStatus:
        """How far a batch is. Raises BatchUnavailable, BatchGone."""
        ...

    def results(self, api_id: str) -> AsyncGenerator[tuple[str, Reply | BatchFailure], None]:
        """What became of each prompt of an ended batch, by custom id, in no order.

        Raises BatchUnavailable, also where results are missing at the end, and BatchGone. What has been
        given until then stands; the same call again gives all of it. Use it inside `contextlib.aclosing`.
        """
        ...

    async def recent(self, since: datetime) -> tuple[BatchStatus, ...]:
        """All batches of the workspace created from then on by the API's clock. Raises BatchUnavailable."""
        ...

    async def close(self) -> None:
        """Gives back the connections; no call may follow."""
        ...
