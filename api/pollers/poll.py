"""What one poll brings, and what a kind of target makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api.ingest.live.message import Decoded
from api.pollers.targets import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """One answer of a target, or its silence."""

    target: Target
    at: datetime
    memory: Mapping[str, Any]
    """What the last poll left."""
    body: bytes = b""
    elapsed_ms: int = 0
    silence: str = ""
    """Why there is no answer; empty if there is one."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What follows from a poll."""

    decoded: Decoded
    memory: dict[str, Any]
    """For the next poll; JSON."""
    summary: str | None = None
    """What the target says of itself; None: nothing new."""


Read = Callable[[Poll], Findings]
"""Reads polls of one kind of target. Pure. Raises PollFailed if the answer cannot be used."""
