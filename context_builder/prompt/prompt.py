"""What is sent to the model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Prompt:
    """One call to the model: what stays the same comes first, so that it can be cached."""

    system: str
    """The rules, the same for every question."""
    user: str
    """What was read for this question, and the question."""
    stable: str = ""
    """What holds for every question until the gateway changes: the first block of the message, where any."""

    @property
    def message(self) -> str:
        """The whole of the one user message."""
        return self.stable + self.user

    @property
    def whole(self) -> str:
        """All that is sent, in its order."""
        return self.system + self.message
