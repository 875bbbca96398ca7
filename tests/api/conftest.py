"""The HTTP service in this process, once for each module of tests that asks for it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from http_service import client_of, running, settings_of

from api.settings import Settings
from loopback.messages_api import MessagesApi


@pytest.fixture(scope="module")
def service_settings(
    sqlite_story_template: Path, messages_api_server: MessagesApi, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """The story, the hashing embedder and the loopback model API."""
    folder = tmp_path_factory.mktemp("service")
    shutil.copyfile(sqlite_story_template, folder / "story.db")
    return settings_of(f"sqlite:///{folder / 'story.db'}", folder, messages_api_server)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(service_settings: Settings) -> AsyncIterator[FastAPI]:
    async with running(service_settings) as app:
        yield app


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(service: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(service) as client:
        yield client
