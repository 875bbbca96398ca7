"""Real clients through the proxy see what they see without it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import anthropic
import pytest

from models.database import Database
from tests.loopback.messages_api import API_KEY, Fail, MessagesApi, Reply
from tests.support.sdk_uses import ASK, USES
from tests.support.served_proxy import ServedProxy, served_proxy

ROOT = Path(__file__).parents[3]
OLD_SDK = Path(sys.prefix) / "old-sdk"
"""A folder with an old release of the SDK and what only that one needs."""


@pytest.fixture
async def proxy(messages_api: MessagesApi) -> AsyncIterator[ServedProxy]:
    database = Database("sqlite:////none/none.db")
    async with served_proxy(database, messages_api.url, read_only=True) as proxy:
        yield proxy
    await database.close()


async def twice(
    proxy: ServedProxy, messages_api: MessagesApi, results: Callable[[str], Awaitable[Any]]
) -> tuple[Any, Any]:
    """What a client gets directly, and through the proxy, without the ids that the API makes."""
    found = []
    for url in (messages_api.url, proxy.url):
        messages_api.reset()
        messages_api.always(Reply(text="Grüße " * 50))
        found.append(_without_ids(await results(url)))
    return found[0], found[1]


@pytest.mark.parametrize("use", USES)
async def test_the_newest_sdk_gets_what_it_gets_directly(
    proxy: ServedProxy, messages_api: MessagesApi, use: str
) -> None:
    """Whatever it is used for (C32)."""

    async def results(url: str) -> Any:
        async with anthropic.AsyncAnthropic(api_key=API_KEY, base_url=url, max_retries=0) as client:
            return await USES[use](client)

    direct, proxied = await twice(proxy, messages_api, results)
    assert proxied == direct


@pytest.mark.process
@pytest.mark.skipif(not OLD_SDK.is_dir(), reason="the old SDK is not installed: make installs it")
async def test_an_old_sdk_gets_what_it_gets_directly(proxy: ServedProxy, messages_api: MessagesApi) -> None:
    """A release that sends `x-api-key` and the first version of the API, in a process of its own (C32)."""

    async def results(url: str) -> Any:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.support.sdk_uses", url, API_KEY,
            cwd=ROOT, env=os.environ | {"PYTHONPATH": str(OLD_SDK)}, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await process.communicate()
        assert process.returncode == 0
        return json.loads(out)

    direct, proxied = await twice(proxy, messages_api, results)
    assert proxied == direct
    assert set(proxied["results"]) == set(USES)
    assert int(proxied["release"].partition(".")[0]) == 0
    headers = messages_api.messages[0].headers
    assert (headers["x-api-key"], headers["anthropic-version"]) == (API_KEY, "2023-06-01")
    assert "authorization" not in headers


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
