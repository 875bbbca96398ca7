"""A client's conversation through the proxy as it is served: what operators see is in it, and stays in it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from sqlalchemy import delete

from api.proxy.opening import senders_of
from api.settings import Settings
from context_builder.queries import conversation
from context_builder.text.clock import utc_now
from models import ConversationTurn
from models.database import Database
from tests.loopback.recording_upstream import RecordingServer
from tests.support.chat_client import ChatClient
from tests.support.gateway import Gateway
from tests.support.proxied_chat import breaks
from tests.support.served_proxy import ServedProxy, served_proxy

DEAD = "gpt-4/aws"
MARK = b"=== gateway context"
PATIENT: dict[str, Any] = {"proxy_deadline_s": 10.0}


@pytest.fixture
def server() -> Iterator[RecordingServer]:
    with RecordingServer() as server:
        yield server


@pytest.fixture
async def gateway(database: Database) -> Gateway:
    """A gateway with trouble to tell of."""
    gateway = Gateway(database)
    await gateway.deployment(DEAD, "gpt-4/azure")
    await breaks(database, DEAD, utc_now())
    return gateway


@pytest.fixture
async def proxy(gateway: Gateway, server: RecordingServer) -> AsyncIterator[ServedProxy]:
    async with served_proxy(gateway.database, server.url, **PATIENT) as proxy:
        yield proxy


async def asks(proxy: ServedProxy, chat: ChatClient, text: str) -> str:
    """Say something by the real SDK and take the streamed reply; the id of the request."""
    chat.says(text)
    fields = {name: chat.fields[name] for name in ("model", "max_tokens", "system", "tools", "thinking")}
    async with (
        anthropic.AsyncAnthropic(api_key="sk-ant-x", base_url=proxy.url, max_retries=0) as client,
        client.messages.stream(**fields, messages=chat.messages) as stream,  # type: ignore[arg-type]
    ):
        chat.takes((await stream.get_final_message()).to_dict())
        return str(stream.response.headers["x-arcpoint-request-id"])


async def test_a_conversation_is_told_once_and_keeps_it(
    proxy: ServedProxy, server: RecordingServer, gateway: Gateway
) -> None:
    """The same bytes on every later request, also through another process; the client never sees them."""
    chat = ChatClient(random.Random(3))  # noqa: S311
    for text in ("Fix the bug.", "And the other.", "Done?"):
        request_id = await asks(proxy, chat, text)
    async with served_proxy(gateway.database, server.url, **PATIENT) as restarted:
        await asks(restarted, chat, "Thanks.")
    first, *later = (request.body for request in server.upstream.seen)
    assert first.count(MARK) == 1
    block = first[first.index(MARK) : first.rindex(MARK[4:])]
    assert b"gpt-4/aws is DOWN" in block
    assert all(body.count(block) == 1 for body in later)
    assert MARK.decode() not in str(chat.messages)
    assert all("x-arcpoint" not in name for request in server.upstream.seen for name in request.headers)
    await proxy.until_stored()
    async with gateway.database.read() as session:
        shown = await conversation(session, request_id)
    assert shown.requests == 4
    assert shown.calls[0].changes[0].endswith("tokens into turn 1")
    assert [(turn.number, turn.text is not None) for turn in shown.turns] == [
        (1, True), (2, False), (3, False), (4, False),
    ]  # fmt: skip


async def test_a_lost_store_costs_thinking_and_no_request(gateway: Gateway, server: RecordingServer) -> None:
    """The API's refusal of thinking that was bound to what nobody knows any more never reaches the client."""
    chat = ChatClient(random.Random(3))  # noqa: S311
    async with served_proxy(gateway.database, server.url, **PATIENT) as proxy:
        await asks(proxy, chat, "Fix the bug.")
    async with gateway.database.write() as session:
        await session.execute(delete(ConversationTurn))
    async with served_proxy(gateway.database, server.url, **PATIENT) as proxy:
        await asks(proxy, chat, "Done?")
        assert proxy.ended == {"completed": 1}
    assert len(server.upstream.seen) == 3
    assert b'"thinking":"' not in server.upstream.seen[-1].body.replace(b" ", b"")


@pytest.mark.parametrize(
    ("path", "settings"),
    [
        ("/context/off", {}),
        ("", {"proxy_context": "off"}),
        ("", {"proxy_rewrites": False}),
        ("", {"read_only": True}),
    ],
)
async def test_whoever_wants_nothing_inserted_gets_nothing(
    gateway: Gateway, server: RecordingServer, path: str, settings: dict[str, Any]
) -> None:
    """By a base URL, which reaches the API without what it says, or by a setting."""
    body = b'{"model" :"m", "max_tokens":1,"messages":[{"role":"user","content":"hi"}] }'
    async with (
        served_proxy(gateway.database, server.url, **(PATIENT | settings)) as proxy,
        proxy.client() as client,
    ):
        answer = await client.post(f"{path}/v1/messages", content=body)
    assert answer.status_code == 200
    assert [(request.path, request.body) for request in server.upstream.seen] == [("/v1/messages", body)]


async def test_a_header_wins_over_a_path(proxy: ServedProxy, server: RecordingServer) -> None:
    """What a request says itself counts, whatever its base URL says for all."""
    body = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}'
    async with proxy.client() as client:
        headers = {"x-arcpoint-context": "always"}
        await client.post("/context/off/v1/messages", content=body, headers=headers)
    assert MARK in server.upstream.seen[0].body


async def test_a_user_of_the_proxy_file_has_a_policy(
    gateway: Gateway, server: RecordingServer, tmp_path: Path
) -> None:
    """`context` of an entry counts for that key alone."""
    digest = senders_of(Settings()).digest("sk-ant-quiet")
    file = tmp_path / "proxy.toml"
    file.write_text(f'[[users]]\ndigest = "{digest}"\nuser = "quiet"\ncontext = "off"\n')
    body = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}'
    async with (
        served_proxy(gateway.database, server.url, proxy_file=file, **PATIENT) as proxy,
        proxy.client() as client,
    ):
        for key in ("sk-ant-quiet", "sk-ant-other"):
            await client.post("/v1/messages", content=body, headers={"x-api-key": key})
    assert [MARK in request.body for request in server.upstream.seen] == [False, True]
