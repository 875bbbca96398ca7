"""Fixtures of the source tests."""

from __future__ import annotations

from datetime import datetime

import pytest

from context_builder.exploration.exploration import Exploration, Onset
from context_builder.question.request import ContextRequest
from tests.support.gateway import HOUR, NOON


@pytest.fixture
def onset(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """Exploration finds an onset two hours before NOON."""
    began = NOON - 2 * HOUR

    async def found(_self: Exploration, _request: ContextRequest) -> Onset:
        return Onset(began)

    monkeypatch.setattr(Exploration, "onset", found)
    return began
