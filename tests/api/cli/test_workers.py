"""`arcpoint serve --workers N`: many processes, one service."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.chroma_process import ChromaProcess
from tests.support.command_line import START
from tests.support.http_service import QUESTION, ServiceProcess, settings_of
from tests.support.patience import PATIENCE_S
from tests.support.workers import FORKING, TWO

pytestmark = pytest.mark.process


@asynccontextmanager
async def serving(database_url: str, folder: Path, code: str = START) -> AsyncIterator[ServiceProcess]:
    """Two workers on SQLite and a memory server."""
    server = await asyncio.to_thread(ChromaProcess, folder / "server")
    try:
        settings = settings_of(database_url, folder, memory_url=server.url)
        async with ServiceProcess(settings, options=TWO, code=code) as process:
            yield process
    finally:
        await asyncio.to_thread(server.kill)


async def worker_of(served: ServiceProcess) -> int | None:
    """The worker that answers a new connection; None if it is cut."""
    try:
        async with served.client() as client:
            return int((await client.get("/healthz")).json()["load"]["worker"])
    except httpx.TransportError:
        return None


async def two_workers(served: ServiceProcess, *, without: int | None = None) -> set[int]:
    """The ids of both workers once each of them answers."""
    seen: set[int | None] = set()
    async with asyncio.timeout(PATIENCE_S):
        while len(seen - {None, without}) < 2:
            # One after another: of many at once the worker that wakes first takes all.
            seen.add(await worker_of(served))
    return {worker for worker in seen if worker not in (None, without)}


async def test_workers_share_the_port_and_the_database_and_are_replaced(
    sqlite_story_url: str, tmp_path: Path
) -> None:
    """All answer and log on one SQLite file; a killed one gets a successor; SIGTERM stops all of them."""
    async with serving(sqlite_story_url, tmp_path, FORKING) as served:
        workers = await two_workers(served)

        async def ask() -> int:
            async with served.client() as client:
                return (await client.post("/v1/query", json={"question": QUESTION})).status_code

        assert set(await asyncio.gather(*(ask() for _ in range(6)))) == {200}
        assert await asyncio.to_thread(questions_in, tmp_path / "story.db") == 6
        killed = min(workers)
        psutil.Process(killed).kill()
        after = await two_workers(served, without=killed)
        assert max(workers) in after
        served.process.send_signal(signal.SIGTERM)
        code, errors = await served.ended()
    assert code == 0
    assert "Traceback" not in errors
    assert not any(psutil.pid_exists(worker) for worker in after)


def questions_in(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM questions").fetchone()
        return int(count)


async def test_workers_end_with_their_supervisor(sqlite_story_url: str, tmp_path: Path) -> None:
    """A service whose first process was killed does not go on where nobody can stop it."""
    async with serving(sqlite_story_url, tmp_path) as served:
        workers = [psutil.Process(worker) for worker in await two_workers(served)]
        served.process.kill()
        await asyncio.to_thread(psutil.wait_procs, workers, PATIENCE_S)
    assert not any(worker.is_running() for worker in workers)
