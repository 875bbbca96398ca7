"""The HTTP service in this process, once for each module of tests that asks for it."""

from __future__ import annotations

import logging
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
import structlog
from fastapi import FastAPI

from api.settings import Settings
from tests.loopback.messages_api import MessagesApi
from tests.support.http_service import client_of, running, settings_of, wait_for_sources


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """Puts back what `configure_logging` sets for its process, which is the tests' here."""
    names = ("", "models", "memory", "context_builder", "api", "uvicorn.error")
    loggers = [logging.getLogger(name) for name in names]
    levels, handlers = [logger.level for logger in loggers], list(loggers[0].handlers)
    configuration = structlog.get_config()
    loggers[-1].setLevel(logging.NOTSET)  # the loopback API runs a quiet server in this process
    yield
    structlog.configure(**configuration)
    logging.captureWarnings(capture=False)
    loggers[0].handlers = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture(scope="module")
def service_settings(
    sqlite_story_template: Path, messages_api_server: MessagesApi, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """The story, the hashing embedder and the loopback model API."""
    folder = tmp_path_factory.mktemp("service")
    shutil.copyfile(sqlite_story_template, folder / "story.db")
    messages_api_server.reset()  # a hang that a test scripted and nobody met
    return settings_of(f"sqlite:///{folder / 'story.db'}", folder, messages_api_server)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(service_settings: Settings) -> AsyncIterator[FastAPI]:
    """Its sources are read whole however busy the machine is, so that equal questions get equal prompts."""
    async with running(service_settings) as app:
        wait_for_sources(app)
        # Memory follows the database by itself; a question asked before that would find nothing in it.
        await app.state.services.memory.maintenance.process_outbox()
        yield app


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(service: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(service) as client:
        yield client
