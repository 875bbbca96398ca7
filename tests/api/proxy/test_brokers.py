"""Every broker that a URL may name gets every event; one that hangs is waited for by nobody."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from sqlalchemy import func, select

from api.proxy.recording.brokers import open_broker
from api.proxy.recording.publisher import BrokerFailed
from api.settings import SettingsError
from models import ProxyOutbox
from models.database import Database
from tests.loopback.raw_upstream import raw_upstream, streamed
from tests.support.brokers import BROKERS, free_port
from tests.support.patience import PATIENCE_S
from tests.support.proxied_streams import STREAM as EVENTS
from tests.support.served_proxy import served_proxy


async def waiting(database: Database) -> int:
    async with database.read() as session:
        return await session.scalar(select(func.count()).select_from(ProxyOutbox)) or 0


@pytest.mark.process
@pytest.mark.parametrize("name", BROKERS)
async def test_a_broker_that_comes_late_gets_every_event(
    name: str, database: Database, tmp_path: Path
) -> None:
    """A real server of each kind; the requests waited for nothing, and no credential is in what it has."""
    broker = BROKERS[name]
    if broker.missing:
        pytest.skip(broker.missing)
    port = free_port()
    url = f"{broker.scheme}://127.0.0.1:{port}"
    async with raw_upstream() as upstream:
        upstream.default = streamed(EVENTS)
        serving = served_proxy(database, upstream.url, proxy_broker_url=url)
        async with serving as proxy, proxy.client() as client:
            for _ in range(3):
                await client.post("/v1/messages", content=b"{}", headers={"x-api-key": "sk-ant-secret-1234"})
            await proxy.until_stored()
            assert await waiting(database) == 3
            async with broker.running(tmp_path, port):
                async with asyncio.timeout(PATIENCE_S):
                    while await waiting(database):  # noqa: ASYNC110 - a count in a database
                        await asyncio.sleep(0.1)
                events = await broker.events(url)
    assert len({event["request_id"] for event in events}) == 3
    assert {event["state"] for event in events} == {"completed"}
    assert "secret" not in json.dumps(events)


async def test_a_redis_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """What listens at its port never says a word: a clear error, in time, and no open socket (C29)."""
    pytest.importorskip("redis")
    monkeypatch.setattr("api.proxy.recording.brokers._CONFIRM_S", 0.1)
    monkeypatch.setattr("api.proxy.recording.brokers._CONNECT_S", 0.4)
    clients: list[asyncio.StreamWriter] = []

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients.append(writer)
        await reader.read(-1)
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with asyncio.timeout(PATIENCE_S), open_broker(f"redis://127.0.0.1:{port}") as opened:
        with pytest.raises(BrokerFailed, match="did not take an event: "):
            await opened.publish("arcpoint.proxy.completed", {"request_id": "r"}, event_id="r")
    async with asyncio.timeout(PATIENCE_S):
        for writer in clients:
            while not writer.is_closing():  # noqa: ASYNC110 - the other side says nothing else
                await asyncio.sleep(0.01)
    server.close()


@pytest.mark.parametrize("url", ["mqtt://me:hunter22@host", "kafka://me:hunter22@host", "nats", "redis://"])
async def test_what_is_no_broker_is_refused_at_the_start(url: str) -> None:
    """With what is accepted, and without what may be a password."""
    with pytest.raises(SettingsError, match="expected nats://, tls://, redis://") as caught:
        async with open_broker(url):
            pass
    assert "hunter22" not in str(caught.value)
