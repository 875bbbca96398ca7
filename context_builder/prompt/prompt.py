"""The prompt as sent to the model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Prompt:
    """The texts of one model call, the cacheable ones first."""

    system: str
    """The rules, the same for every question."""
    user: str
    """The context of this question, and the question."""
    stable: str = ""
    """The first block of the message, the same for every question until the gateway changes; may be empty."""

    @property
    def message(self) -> str:
        """The complete user message."""
        return self.stable + self.user

    @property
    def whole(self) -> str:
        """The complete prompt, in the order of sending."""
        return self.system + self.message
