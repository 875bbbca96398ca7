"""Real clients through the proxy see what they see without it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anthropic
import pytest

from models.database import Database
from tests.loopback.messages_api import API_KEY, Fail, MessagesApi, Reply
from tests.support.served_proxy import ServedProxy, served_proxy

Use = Callable[[anthropic.AsyncAnthropic], Awaitable[Any]]
ASK: dict[str, Any] = {
    "model": "claude-haiku-5-5",
    "max_tokens": 200,
    "messages": [{"role": "user", "content": "Say it."}],
}
TOOLS: Any = [{"name": "add", "description": "Adds.", "input_schema": {"type": "object"}}]


class OldClient(anthropic.AsyncAnthropic):
    """Sends its key as releases before 1.0 did, and their version."""

    @property
    def auth_headers(self) -> dict[str, str]:
        return {"X-Api-Key": str(self.api_key)}

    @property
    def default_headers(self) -> dict[str, Any]:
        return {**super().default_headers, "anthropic-version": "2023-06-01"}


async def _create(client: anthropic.AsyncAnthropic) -> Any:
    return (await client.messages.create(**ASK, tools=TOOLS)).to_dict()


async def _stream(client: anthropic.AsyncAnthropic) -> Any:
    async with client.messages.stream(**ASK) as stream:
        texts = [text async for text in stream.text_stream]
        return texts, (await stream.get_final_message()).to_dict()


async def _count(client: anthropic.AsyncAnthropic) -> Any:
    return await client.messages.count_tokens(model=ASK["model"], messages=ASK["messages"])


async def _batches(client: anthropic.AsyncAnthropic) -> Any:
    request: Any = {"custom_id": "a", "params": ASK}
    made = await client.messages.batches.create(requests=[request])
    found = await client.messages.batches.retrieve(made.id)
    results = [each async for each in await client.messages.batches.results(made.id)]
    return found.processing_status, [each.custom_id for each in results]


async def _refused(client: anthropic.AsyncAnthropic) -> Any:
    with pytest.raises(anthropic.APIStatusError) as caught:
        await client.messages.create(**ASK | {"model": 7})
    document: Any = caught.value.body
    return type(caught.value), caught.value.status_code, document["error"]


USES: dict[str, Use] = {
    "a message with tools": _create,
    "a stream": _stream,
    "count_tokens": _count,
    "batches": _batches,
    "a refused request": _refused,
}


@pytest.fixture
async def proxy(messages_api: MessagesApi) -> AsyncIterator[ServedProxy]:
    database = Database("sqlite:////none/none.db")
    async with served_proxy(database, messages_api.url, read_only=True) as proxy:
        yield proxy
    await database.close()


@pytest.mark.parametrize("kind", [anthropic.AsyncAnthropic, OldClient])
@pytest.mark.parametrize("use", USES)
async def test_the_sdk_gets_what_it_gets_directly(
    proxy: ServedProxy, messages_api: MessagesApi, kind: type[anthropic.AsyncAnthropic], use: str
) -> None:
    """The newest release, and one that sends `x-api-key` and the older version (C32)."""
    results = []
    for url in (messages_api.url, proxy.url):
        messages_api.reset()
        messages_api.always(Reply(text="Grüße " * 50))
        async with kind(api_key=API_KEY, base_url=url, max_retries=0) as client:
            results.append(await USES[use](client))
    direct, proxied = (_without_ids(result) for result in results)
    assert proxied == direct


def _without_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_ids(inner) for key, inner in value.items() if key != "id"}
    return type(value)(map(_without_ids, value)) if isinstance(value, list | tuple) else value


async def test_the_sdk_retries_what_the_proxy_passes_on(
    proxy: ServedProxy, messages_api: MessagesApi
) -> None:
    """An error that outlasts the proxy's own retry is retried by the client, and then answered."""
    messages_api.script(Fail(status=529), Fail(status=529), Reply(text="Hi"))
    async with anthropic.AsyncAnthropic(api_key=API_KEY, base_url=proxy.url, max_retries=1) as client:
        message = await client.messages.create(**ASK)
    assert message.content[0].text == "Hi"
    assert len(messages_api.messages) == 3


@pytest.mark.process
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_curl_streams_through_the_proxy(proxy: ServedProxy, messages_api: MessagesApi) -> None:
    """As in the documentation of the API."""
    messages_api.always(Reply(text="Grüße"))
    body = (
        '{"model":"claude-haiku-5-5","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"x"}]}'
    )
    curl = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--no-buffer", "--compressed", f"{proxy.url}/v1/messages",
        "--header", f"x-api-key: {API_KEY}", "--header", "anthropic-version: 2023-06-01",
        "--json", body, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await curl.communicate()
    assert curl.returncode == 0
    assert out.startswith(b"event: message_start")
    assert out.rstrip().endswith(b'data: {"type": "message_stop"}')
