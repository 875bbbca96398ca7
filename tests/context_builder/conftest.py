"""Gateways to build, a busy one to read, and a real memory, all on the event loop of the session."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import text

from memory.embedding.hashing import HashingEmbedder
from memory.incident_memory import IncidentMemory
from memory.index.chroma import ChromaIndex
from models.database import Database
from tests.support.faulty_sources import troubled_gateway
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway, people, traffic
from tests.support.ops_events import events_of
from tests.support.prepared_databases import PostgresServer, migrate

_BATCH = 400


@pytest_asyncio.fixture(loop_scope="session")
async def gateway(database_url: str) -> AsyncIterator[Gateway]:
    """An empty one."""
    database = Database(database_url)
    yield Gateway(database)
    await database.close()


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def shared_index(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ChromaIndex]:
    index = ChromaIndex(tmp_path_factory.mktemp("memory"))
    yield index
    await index.close()


@pytest.fixture
def memory(gateway: Gateway, shared_index: ChromaIndex) -> IncidentMemory:
    """A real memory over the gateway's database; call its `sync` once the incidents are there."""
    return IncidentMemory(gateway.database, HashingEmbedder(), shared_index, deadline_s=20)


@pytest.fixture(scope="session")
def busy_url(
    request: pytest.FixtureRequest, database_kind: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    if database_kind == "sqlite":
        path = tmp_path_factory.mktemp("busy") / "busy.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    postgres = request.getfixturevalue("postgres")
    name = postgres.clone(migrate)
    yield postgres.url(name)
    postgres.psql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def busy(busy_url: str, shared_index: ChromaIndex) -> AsyncIterator[Gateway]:
    """Nine days of the fleet's traffic until NOON; only to be read."""
    database = Database(busy_url)
    gateway = Gateway(database, IncidentMemory(database, HashingEmbedder(), shared_index, deadline_s=20))
    await people(gateway)
    sent = traffic(gateway, 1, _busy_moments())
    for start in range(0, len(sent), _BATCH):
        await gateway.append(sent[start : start + _BATCH])
    await gateway.incident("inc_past", started_at=NOON - 3 * DAY, resolved_at=NOON - 2 * DAY)
    await gateway.incident("inc_now")
    for name, number in gateway.deployments.items():
        for at in (NOON - HOUR, NOON - 3 * HOUR, NOON - 5 * DAY):
            await gateway.add(*events_of(name, number, at))
    await gateway.memory.sync()
    if not database.is_sqlite:
        async with database.write() as session:
            await session.execute(text("ANALYZE"))
    yield gateway
    await database.close()


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def troubled_sqlite(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    path = tmp_path_factory.mktemp("troubled") / "troubled.db"
    await asyncio.to_thread(shutil.copyfile, sqlite_template, path)
    database = Database(f"sqlite:///{path}")
    yield await troubled_gateway(database)
    await database.close()


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def troubled_postgresql(postgres: PostgresServer) -> AsyncIterator[Gateway]:
    name = await asyncio.to_thread(postgres.clone, migrate)
    database = Database(postgres.url(name))
    yield await troubled_gateway(database)
    await database.close()
    await asyncio.to_thread(postgres.psql, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def troubled(request: pytest.FixtureRequest, database_kind: str) -> Gateway:
    """Three days of traffic with every planted fault; only to be read."""
    gateway: Gateway = request.getfixturevalue(f"troubled_{database_kind}")
    return gateway


def _busy_moments() -> list[datetime]:
    """Most of them in the last hours; some right on both sides of minutes, hours and midnights."""
    chance = random.Random(3)  # noqa: S311  test data
    recent = [NOON - 6 * HOUR * chance.random() for _ in range(900)]
    before = [NOON - 9 * DAY * chance.random() for _ in range(1_300)]
    edges = [
        edge - one
        for edge in (NOON, NOON - HOUR, NOON - 90 * MINUTE, NOON - DAY, NOON - 12 * HOUR, NOON - 8 * DAY)
        for one in (timedelta(0), timedelta(microseconds=1), MINUTE, timedelta(seconds=1), -MINUTE)
    ]
    return sorted([*recent, *before, *edges])
