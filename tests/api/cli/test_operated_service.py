"""A service as it is deployed: two workers, PostgreSQL and a Chroma server; scraped, drained and stopped."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest

from api.settings import Settings
from tests.loopback.messages_api import Hang, MessagesApi, Reply
from tests.support.chroma_process import ChromaProcess
from tests.support.http_service import QUESTION, START_S, ServiceProcess, settings_of, without_memory
from tests.support.patience import PATIENCE_S
from tests.support.scrapes import Scrape, parsed, value
from tests.support.workers import FORKING, TWO

pytestmark = pytest.mark.process

BODY = {"question": QUESTION}
DRAIN_S = 600
"""Longer than any test waits: it ends by a second signal."""


@pytest.fixture
async def served(
    postgres_story_url: str, messages_api: MessagesApi, tmp_path: Path
) -> AsyncIterator[ServiceProcess]:
    server = await asyncio.to_thread(ChromaProcess, tmp_path / "server")
    try:
        settings = settings_of(
            postgres_story_url, tmp_path, messages_api, memory_url=server.url, drain_s=DRAIN_S
        )
        async with ServiceProcess(settings, options=TWO, code=FORKING) as process:
            yield process
    finally:
        await asyncio.to_thread(server.kill)


async def of_each_worker(served: ServiceProcess, known: dict[int, httpx.AsyncClient], count: int) -> None:
    """Opens connections until `count` workers have one that stays with it."""
    async with asyncio.timeout(PATIENCE_S):
        while len(known) < count:
            client = served.client()
            try:
                worker = (await client.get("/healthz")).json()["load"]["worker"]
            except httpx.TransportError:  # it has just ended
                await client.aclose()
                continue
            if known.setdefault(worker, client) is not client:
                await client.aclose()


async def scrape(client: httpx.AsyncClient) -> Scrape:
    return parsed((await client.get("/metrics")).text)


async def drains(served: ServiceProcess) -> None:
    """Returns once a new connection is told that the service drains."""
    async with asyncio.timeout(PATIENCE_S), served.client() as client:
        while (response := await client.get("/readyz")).json()["status"] != "draining":
            assert response.status_code == 200
            await asyncio.sleep(0.02)
    assert response.status_code == 503


async def test_two_workers_are_scraped_as_one_and_drain_before_they_stop(
    served: ServiceProcess, messages_api: MessagesApi
) -> None:
    """Each reports what all did, and what a dead one did; what is in flight when they stop ends whole."""
    workers: dict[int, httpx.AsyncClient] = {}
    await of_each_worker(served, workers, 2)
    for client in workers.values():
        answer = (await client.post("/v1/query", json=BODY)).json()
        assert answer["model"], answer["no_model_reason"]
    for client in workers.values():
        counted = await scrape(client)
        assert value(counted, "questions_total", outcome="answered") == 2
        assert value(counted, "workers") == 2

    killed, client = workers.popitem()
    psutil.Process(killed).kill()
    await client.aclose()
    await of_each_worker(served, workers, 2)
    async with asyncio.timeout(PATIENCE_S):
        while value(counted := await scrape(next(iter(workers.values()))), "workers") != 2:
            pass  # until the supervisor has seen to it
    assert value(counted, "questions_total", outcome="answered") == 2

    text = "All is well [I0]. " * 20
    messages_api.always(Hang(seconds=1.5, after_pieces=3, reply=Reply(text=text)))
    async with served.client() as asking:
        call = asyncio.create_task(asking.post("/v1/query", json=BODY))
        await messages_api.until(lambda journal: journal.open_streams == 1, START_S)
        served.process.send_signal(signal.SIGTERM)
        await drains(served)
        for worker in workers:
            psutil.Process(worker).terminate()
        assert (await call).json()["text"] == text
    code, errors = await served.ended()
    for client in workers.values():
        await client.aclose()
    assert code == 0
    assert "Traceback" not in errors


async def test_a_draining_service_still_answers_and_a_second_signal_ends_that(
    sqlite_story_url: str, tmp_path: Path
) -> None:
    """Balancers need a moment to turn away: until then nothing is refused, but /readyz."""
    settings: Settings = settings_of(
        sqlite_story_url, tmp_path, memory_path=without_memory(tmp_path), drain_s=DRAIN_S
    )
    async with ServiceProcess(settings) as served, served.client() as client:
        assert (await client.get("/readyz")).json()["status"] == "degraded"
        served.process.send_signal(signal.SIGTERM)
        await drains(served)
        assert (await client.post("/v1/context", json=BODY)).status_code == 200
        served.process.send_signal(signal.SIGTERM)
        code, errors = await served.ended()
    assert (code, "Traceback" in errors) == (0, False)
