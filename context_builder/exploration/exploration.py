"""The findings of one question, made once and shared by the sources that tell them."""

from __future__ import annotations

from datetime import datetime

from context_builder.request import ContextRequest
from models.snapshot import Snapshot


class Exploration:
    """Explores one snapshot for one question."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    async def onset(self, request: ContextRequest) -> datetime | None:
        """When what the question is about most probably began; None: nothing changed that stands out."""
        return None
