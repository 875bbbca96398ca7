"""The contract of a language model that answers many prompts together within a day, at a lower price."""

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
"""How long after the creation of a batch the API keeps its results."""


class BatchState(StrEnum):
    """The API's processing status of a batch."""

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
    total: int
    """Number of its requests."""
    has_results: bool
    """True if it has ended and its results are still kept."""


@dataclass(frozen=True, slots=True)
class BatchFailure:
    """A prompt of a batch that got no reply, and costs nothing."""

    kind: str
    """`errored`, `canceled` or `expired`, or what the API may add to these."""
    reason: str
    """One line."""


class BatchUnavailable(ContextBuilderError):
    """The API did not do what it was asked to, and nothing has changed; the reason is one line."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BatchUncertain(BatchUnavailable):
    """The API may or may not have accepted the batch."""


class BatchGone(BatchUnavailable):
    """The API knows no such batch, or no longer keeps its results."""


class BatchModel(Protocol):
    """A model that answers many prompts in one batch."""

    @property
    def model(self) -> str:
        """The model's id in prices and documents."""
        ...

    @property
    def max_output_tokens(self) -> int:
        """The most output tokens that one reply can be billed for."""
        ...

    @property
    def max_requests(self) -> int:
        """The most prompts that one batch can hold."""
        ...

    @property
    def max_bytes(self) -> int:
        """The most that the sizes of a batch's prompts may add up to."""
        ...

    @property
    def submit_deadline_s(self) -> float:
        """The longest that `submit` can take, by the event loop's clock."""
        ...

    def size_of(self, custom_id: str, prompt: Prompt) -> int:
        """Return what a prompt adds to a batch, in bytes.

        Raises:
            ValueError: the prompt cannot be sent.
        """
        ...

    async def submit(self, items: Sequence[tuple[str, Prompt]]) -> str:
        """Submit prompts by unique custom ids, and return the API's id of the batch.

        Raises:
            BatchUncertain: the API may or may not have accepted the batch.
            BatchUnavailable: the API certainly did not accept it.
        """
        ...

    async def status(self, api_id: str) -> BatchStatus:
        """Return the state of a batch.

        Raises:
            BatchUnavailable: the API could not be asked.
            BatchGone: it knows no such batch.
        """
        ...

    def results(self, api_id: str) -> AsyncGenerator[tuple[str, Reply | BatchFailure], None]:
        """Yield the result of each prompt of an ended batch by custom id, in any order.

        Use it inside `contextlib.aclosing`. After an error, what has been yielded is valid; another call
        yields everything.

        Raises:
            BatchUnavailable: the results could not be read, or are incomplete.
            BatchGone: the API no longer keeps them.
        """
        ...

    async def close(self) -> None:
        """Close the connections; no call may follow."""
        ...
