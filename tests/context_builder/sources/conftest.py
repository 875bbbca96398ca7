"""Fixtures of the source tests: SQLite only, since one test compares all sources on both databases."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

import pytest

from context_builder.exploration.exploration import Exploration, Onset
from context_builder.question.request import ContextRequest
from support.gateway import HOUR, NOON, Gateway


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture(scope="session")
def busy_url(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("busy") / "busy.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def troubled(troubled_sqlite: Gateway) -> Gateway:
    return troubled_sqlite


@pytest.fixture
def onset(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """Exploration finds an onset two hours before NOON."""
    began = NOON - 2 * HOUR

    async def found(_self: Exploration, _request: ContextRequest) -> Onset:
        return Onset(began)

    monkeypatch.setattr(Exploration, "onset", found)
    return began
