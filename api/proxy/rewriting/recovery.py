"""Refusals of the API that another body can avoid."""

from __future__ import annotations

import re
from dataclasses import dataclass

_MISMATCH = re.compile(rb"Invalid `signature` in `thinking` block|bound to a different conversation")
_TOO_LONG = re.compile(rb"prompt is too long: (\d+) tokens > (\d+) maximum")
_BAD_REQUEST = 400


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a request was refused."""

    kind: str
    tokens: int = 0
    limit: int | None = None
    """Of a prompt that is too long: how many tokens it may have."""


def trouble_of(status: int, error: bytes) -> Trouble | None:
    """Return what a refusal is about; None if nothing that is left out would avoid it."""
    if status != _BAD_REQUEST:
        return None
    if found := _TOO_LONG.search(error):
        return Trouble("prompt too long", int(found[1]), int(found[2]))
    return Trouble("prefix mismatch") if _MISMATCH.search(error) else None
