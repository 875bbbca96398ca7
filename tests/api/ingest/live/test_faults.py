"""A database that fails, fills up or is held by others: nothing acknowledged is lost, and nobody hangs."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, text

from models import Request, RequestRollup
from models.database import Database
from tests.conftest import QUICK_FOLDER
from tests.support.http_service import QUESTION, client_of, running, settings_of, without_memory
from tests.support.kinds_of_records import EXAMPLES
from tests.support.patience import PATIENCE_S
from tests.support.prepared_databases import PostgresServer, migrate


def requests(*names: str) -> list[dict[str, object]]:
    return [EXAMPLES["requests"] | {"id": name} for name in names]


async def post(client: httpx.AsyncClient, *names: str) -> httpx.Response:
    async with asyncio.timeout(PATIENCE_S):
        return await client.post("/v1/ingest/requests", json=requests(*names))


def is_to_be_sent_again(response: httpx.Response) -> bool:
    return response.status_code == 503 and int(response.headers["retry-after"]) > 0


async def stored(database: Database) -> tuple[set[str], int]:
    """Requests in the log, and how many the rollups count at one resolution."""
    async with database.write() as session:
        names = set(await session.scalars(select(Request.public_id)))
        counts = await session.scalars(
            select(func.sum(RequestRollup.requests)).group_by(RequestRollup.resolution)
        )
        (count,) = set(counts) or {0}
    return names, count


async def test_a_full_disk_takes_nothing_by_halves(app: FastAPI, sqlite_url: str) -> None:
    """503 with Retry-After while there is no room, for posts alone; then all goes on without a restart."""
    database: Database = app.state.services.database
    acknowledged: set[str] = set()
    async with client_of(app) as client:
        assert (await post(client, "first")).status_code == 200
        async with database.write() as session:
            pages = await session.scalar(text("PRAGMA page_count"))
            await session.execute(text(f"PRAGMA max_page_count = {pages + 8}"))
        refused = 0
        for number in range(200):
            sent = [f"{number}_{item}" for item in range(50)]
            response = await post(client, *sent)
            if response.status_code == 200:
                acknowledged.update(sent)
            else:
                assert is_to_be_sent_again(response), response.text
                refused += 1
                if refused > 2:
                    break
        assert refused > 2
        assert (await client.post("/v1/query", json={"question": QUESTION})).status_code == 200
        names, count = await stored(database)
        assert names == acknowledged | {"first"}
        assert count == len(names)
        async with database.write() as session:
            await session.execute(text("PRAGMA max_page_count = 1000000"))
        assert (await post(client, "last")).status_code == 200
    assert "last" in (await stored(database))[0]


@pytest.mark.parametrize("fault", ["a lock", "no connection"])
async def test_a_database_that_others_hold_is_not_waited_for(
    postgres_url: str, tmp_path: Path, fault: str
) -> None:
    """Posts are to be sent again after a while, and are taken as soon as it is free."""
    settings = settings_of(postgres_url, tmp_path, memory_path=without_memory(tmp_path))
    other = Database(postgres_url)
    async with running(settings) as app, client_of(app) as client, AsyncExitStack() as held:
        commits = app.state.ingestor._commits
        patience_s = commits._commit_s
        assert (await post(client, "first")).status_code == 200
        commits._commit_s = 0.3
        if fault == "a lock":
            session = await held.enter_async_context(other.write())
            await session.execute(text("LOCK TABLE requests IN ACCESS EXCLUSIVE MODE"))
        else:
            engine = app.state.services.database.write_engine
            for _ in range(engine.pool.size()):
                await held.enter_async_context(engine.connect())
        answers = await asyncio.gather(*(post(client, f"held_{number}") for number in range(5)))
        assert all(map(is_to_be_sent_again, answers))
        await held.aclose()
        commits._commit_s = patience_s
        assert (await post(client, "last")).status_code == 200
    assert await stored(other) == ({"first", "last"}, 2)
    await other.close()


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server that a test may let crash."""
    folder = Path(tempfile.mkdtemp(prefix="arcpoint-pg-", dir=QUICK_FOLDER))
    server = PostgresServer(folder, durable=True)
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.postgres
@pytest.mark.process
@pytest.mark.long
async def test_a_crashed_postgresql_loses_nothing_acknowledged(
    own_postgres: PostgresServer, tmp_path: Path
) -> None:
    """Posts and questions go on while the server crashes and is started: 503, and then all is there."""
    url = own_postgres.url(await asyncio.to_thread(own_postgres.clone, migrate))
    settings = settings_of(url, tmp_path, memory_path=without_memory(tmp_path), tick_s=0)
    acknowledged: set[str] = set()
    refused = 0
    done = asyncio.Event()

    async def send(client: httpx.AsyncClient, sender: int) -> None:
        nonlocal refused
        for number in range(100_000):
            response = await post(client, name := f"{sender}_{number}")
            if response.status_code == 200:
                acknowledged.add(name)
            else:
                assert is_to_be_sent_again(response), response.text
                refused += 1
                await asyncio.sleep(0.05)
            if done.is_set():
                return

    async def ask(client: httpx.AsyncClient) -> None:
        while not done.is_set():
            async with asyncio.timeout(PATIENCE_S):
                response = await client.post("/v1/context", json={"question": QUESTION})
            assert response.status_code in (200, 503), response.text
            await asyncio.sleep(0.1)

    async def until(condition: object) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # type: ignore[operator]  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async with running(settings) as app, client_of(app) as client, asyncio.TaskGroup() as tasks:
        for sender in range(4):
            tasks.create_task(send(client, sender))
        tasks.create_task(ask(client))
        await until(lambda: len(acknowledged) > 20)
        await asyncio.to_thread(own_postgres.crash)
        await until(lambda: refused > 5)
        await asyncio.to_thread(own_postgres.start)
        before = len(acknowledged)
        await until(lambda: len(acknowledged) > before + 20)
        done.set()
    database = Database(url)
    names, count = await stored(database)
    await database.close()
    assert acknowledged <= names
    assert count == len(names)
