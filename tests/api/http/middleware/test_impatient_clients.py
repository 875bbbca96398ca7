"""Clients that leave early, or send without end, over real connections to one service."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from api.settings import Settings
from tests.loopback.messages_api import Hang, MessagesApi, Reply
from tests.support.http_service import QUESTION, START_S, ServiceProcess

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]

BODY = {"question": QUESTION}
EVENTS = {"accept": "text/event-stream"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(service_settings: Settings) -> AsyncIterator[ServiceProcess]:
    """One service for all; whatever clients do to it, it has no fault to log and stops as it should."""
    async with ServiceProcess(service_settings) as process:
        yield process
        process.process.send_signal(signal.SIGTERM)
        code, errors = await process.ended()
        assert code == 0
        assert "Traceback" not in errors, errors
        assert "request failed" not in errors


@pytest.mark.parametrize("headers", [{}, EVENTS], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    "hang", [Hang(seconds=60), Hang(seconds=60, after_pieces=2)], ids=["silent", "halfway"]
)
async def test_a_client_that_leaves_ends_its_model_call(
    served: ServiceProcess, messages_api: MessagesApi, headers: dict[str, str], hang: Hang
) -> None:
    """Nobody pays for words that nobody reads, and the service goes on."""
    messages_api.script(hang)
    async with served.client() as client:
        call = asyncio.create_task(client.post("/v1/query", json=BODY, headers=headers))
        await messages_api.until(lambda journal: len(journal.requests) == 1, START_S)
        await asyncio.sleep(0.1)
        assert messages_api.journal.disconnects == 0
        call.cancel()
        await messages_api.until(lambda journal: journal.disconnects == 1 and journal.open_streams == 0)
        assert (await client.post("/v1/query", json=BODY)).json()["model"]


async def test_clients_that_leave_at_any_moment_leave_nothing_behind(
    served: ServiceProcess, messages_api: MessagesApi
) -> None:
    """Whatever the service was at, its connections are free for those who stay."""
    chance = random.Random(7)  # noqa: S311 - moments, not secrets
    messages_api.always(Reply(delay_s=0.01, piece_length=60))

    async def ask_and_leave(client: httpx.AsyncClient) -> None:
        headers = chance.choice([{}, EVENTS])
        path = chance.choice(["/v1/query", "/v1/context"])
        try:
            async with asyncio.timeout(chance.uniform(0.01, 1.5)):
                await client.post(path, json=BODY, headers=headers)
        except TimeoutError:
            pass

    async with served.client() as client:
        await asyncio.gather(*(ask_and_leave(client) for _ in range(60)))
        messages_api.always(Reply())
        answers = await asyncio.gather(*(client.post("/v1/query", json=BODY) for _ in range(10)))
    assert all(answer.json()["model"] for answer in answers)


async def test_a_large_body_is_refused_in_words(served: ServiceProcess) -> None:
    """Clients that listen only after they have sent all still hear the refusal."""
    async with served.client() as client:
        for _ in range(3):
            headers = {"content-type": "application/json"}
            response = await client.post("/v1/query", content=b" " * 5_000_000, headers=headers)
            assert response.status_code == 413
            assert response.json()["status"] == 413


@pytest.mark.parametrize("host", [b"localhost", b"stranger"])
async def test_an_endless_body_ends_with_its_connection(served: ServiceProcess, host: bytes) -> None:
    """Nothing is read for ever, least of all from those who are not let in."""
    address = httpx.URL(served.url)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(b"POST /v1/query HTTP/1.1\r\nhost: " + host + b"\r\ncontent-type: application/json\r\n")
    writer.write(b"transfer-encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    with pytest.raises(ConnectionError):
        async with asyncio.timeout(START_S):
            while True:
                writer.write(chunk)
                await writer.drain()
    writer.close()
    assert reader.at_eof() or reader.exception()
