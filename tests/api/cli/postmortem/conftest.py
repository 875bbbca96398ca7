"""Runs of `arcpoint postmortem` over a few incidents, each looked at by one source: they are cheap."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from tests.support.command_line import START, Start
from tests.support.patient_sources import SOURCES
from tests.support.stored_postmortems import StoredPostmortems

ONE_SOURCE = """
import api.services
from tests.support.patient_sources import SOURCES
api.services.discover = lambda: tuple(source for source in SOURCES if source.name == "incidents")
"""


@pytest.fixture
def environment(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What is written is no subject here, but that it is: once, whatever happens."""
    stored = StoredPostmortems(environment["ARCPOINT_DATABASE_URL"])
    stored.rows("DELETE FROM incidents WHERE public_id BETWEEN 'inc_0106' AND 'inc_0115'")
    sources = tuple(source for source in SOURCES if source.name == "incidents")
    monkeypatch.setattr("api.services.discover", lambda: sources)
    return environment


@pytest.fixture
def start(start: Start) -> Start:
    """The same in a process of its own."""

    def spawn(*arguments: object, code: str = START, **options: Any) -> subprocess.Popen[str]:
        return start(*arguments, code=f"{ONE_SOURCE}\n{code}", **options)

    return spawn
