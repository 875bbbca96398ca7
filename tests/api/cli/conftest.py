"""The command line in this process, and as a process of its own."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from api.cli.commands import run
from context_builder.source import ContextSource
from context_builder.sources import discover
from tests.loopback.messages_api import API_KEY, MessagesApi
from tests.support.command_line import START, Result, Run, Start, program
from tests.support.http_service import without_memory
from tests.support.patience import PATIENCE_S
from tests.support.stored_postmortems import StoredPostmortems


@pytest.fixture
def untouched_logging() -> Iterator[None]:
    """Undoes what a command does to the logging of its process."""
    loggers = [logging.getLogger(name) for name in ("", "models", "memory", "context_builder", "api")]
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    hook = sys.excepthook
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers = handlers
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    sys.excepthook = hook


def patient_sources() -> tuple[ContextSource, ...]:
    """All sources, with time to be read whole on a busy machine."""
    return tuple(replace(source, deadline_s=PATIENCE_S) for source in discover())


@pytest.fixture
def environment(sqlite_story_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The story, no model, and a memory that is refused at once, since its folder is a file."""
    values = {
        "ARCPOINT_DATABASE_URL": sqlite_story_url,
        "ARCPOINT_MEMORY_PATH": str(without_memory(tmp_path)),
        "ARCPOINT_EMBEDDER": "hashing",
        "ARCPOINT_MODEL_RETRIES": "0",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("api.services.discover", patient_sources)
    return values


@pytest.fixture
def with_model(
    environment: dict[str, str], messages_api: MessagesApi, monkeypatch: pytest.MonkeyPatch
) -> MessagesApi:
    """Claude is the loopback API."""
    monkeypatch.setenv("ARCPOINT_ANTHROPIC_API_KEY", API_KEY)
    monkeypatch.setenv("ARCPOINT_ANTHROPIC_BASE_URL", messages_api.url)
    return messages_api


@pytest.fixture
def stored(environment: dict[str, str]) -> StoredPostmortems:
    return StoredPostmortems(environment["ARCPOINT_DATABASE_URL"])


@pytest.fixture
def arcpoint(environment: dict[str, str], untouched_logging: None, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line in this process."""

    def invoke(*arguments: object) -> Result:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return invoke


@pytest.fixture
def start(environment: dict[str, str], repository: Path) -> Iterator[Start]:
    """Starts a command line as a process of its own."""
    processes: list[subprocess.Popen[str]] = []

    def spawn(
        *arguments: object, code: str = START, forked: bool = True, **options: Any
    ) -> subprocess.Popen[str]:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        command = [*program(code, forked=forked), *map(str, arguments)]
        variables = os.environ | {"PYTHONPATH": str(repository)}
        processes.append(subprocess.Popen(command, env=variables, **(pipes | options)))
        return processes[-1]

    yield spawn
    for process in processes:
        process.kill()
        process.communicate()
