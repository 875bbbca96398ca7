"""What is sent to the model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Prompt:
    """One call to the model: stable rules first, then one message with the facts and the question."""

    system: str
    """The same for every question, so that the API can cache it."""
    user: str
