"""A real Chroma for the tests of memory: one worker and one server for all that do not break them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from memory.index.chroma import ChromaIndex
from memory.index.chroma_server import ChromaServerIndex
from memory.index.contract import VectorIndex
from models.database import Database
from tests.support.chroma_process import ChromaProcess
from tests.support.incident_world import World

# How fast a machine draws and runs examples is no law.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def shared_index(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ChromaIndex]:
    index = ChromaIndex(tmp_path_factory.mktemp("memory"))
    yield index
    await index.close()


@pytest.fixture(scope="session")
def chroma_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChromaProcess]:
    server = ChromaProcess(tmp_path_factory.mktemp("chroma-server"))
    yield server
    server.kill()


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def server_index(chroma_server: ChromaProcess) -> AsyncIterator[ChromaServerIndex]:
    index = ChromaServerIndex(chroma_server.url)
    yield index
    await index.close()


@pytest.fixture(params=["folder", "server"])
def index(request: pytest.FixtureRequest) -> VectorIndex:
    """Return an index of each kind, shared by the tests that do not break it."""
    name = "shared_index" if request.param == "folder" else "server_index"
    index: VectorIndex = request.getfixturevalue(name)
    return index


@pytest_asyncio.fixture(loop_scope="session")
async def database(database_url: str) -> AsyncIterator[Database]:
    """As elsewhere, but on the event loop that the shared worker lives on."""
    database = Database(database_url)
    yield database
    await database.close()


@pytest_asyncio.fixture(loop_scope="session")
async def sqlite(sqlite_url: str) -> AsyncIterator[Database]:
    database = Database(sqlite_url)
    yield database
    await database.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the path for an index of the test's own; not created yet."""
    return tmp_path / "deep" / "memory"


@pytest_asyncio.fixture(loop_scope="session")
async def own_index(folder: Path) -> AsyncIterator[ChromaIndex]:
    index = ChromaIndex(folder)
    yield index
    await index.close()


@pytest_asyncio.fixture(loop_scope="session")
async def world(database: Database, shared_index: ChromaIndex) -> World:
    return World(database, shared_index)


@pytest_asyncio.fixture(loop_scope="session")
async def sqlite_world(sqlite: Database, shared_index: ChromaIndex) -> World:
    """Return a world for what does not depend on the kind of database."""
    return World(sqlite, shared_index)


@pytest_asyncio.fixture(loop_scope="session")
async def own_world(sqlite: Database, own_index: ChromaIndex) -> World:
    """Return a world on an index that the test may break."""
    return World(sqlite, own_index)
