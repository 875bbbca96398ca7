"""What a loopback Message Batches API does with a batch's requests, and how its endpoints fail."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tests.loopback.behaviour import Cut, Fail, Garbage, Hang, Reply


class Endpoint(StrEnum):
    """The calls of the Message Batches API."""

    CREATE = "create"
    RETRIEVE = "retrieve"
    RESULTS = "results"


@dataclass(frozen=True, kw_only=True)
class Errored:
    """The request failed and is not billed."""

    kind: str = "api_error"
    message: str = "Internal server error"


@dataclass(frozen=True)
class Canceled:
    """The request was canceled before it was sent to the model."""


@dataclass(frozen=True)
class Expired:
    """The batch's 24 hours ended before the request was sent to the model."""


Outcome = Reply | Errored | Canceled | Expired


@dataclass(frozen=True, kw_only=True)
class Lost:
    """The call is carried out, and the connection breaks before a byte of the response."""

    delay_s: float = 0.0
    """Pause before it breaks, in which the client may be killed."""


Fault = Fail | Hang | Lost | Cut | Garbage
"""Cut and Garbage are for results: their pieces are lines."""
