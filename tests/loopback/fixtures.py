"""Fixtures that start the loopback server and its clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from context_builder.llm.claude import Claude
from context_builder.llm.claude_batches import ClaudeBatches
from context_builder.llm.claude_options import ClaudeOptions
from tests.loopback.messages_api import API_KEY, MessagesApi

MakeClaude = Callable[..., Awaitable[Claude]]
MakeBatches = Callable[..., Awaitable[ClaudeBatches]]


@pytest.fixture(scope="session")
def messages_api_server() -> Iterator[MessagesApi]:
    # The SDK waits half a second before it tries again, and then twice as long each time.
    with patch("anthropic._base_client.INITIAL_RETRY_DELAY", 0.01), MessagesApi() as api:
        yield api


@pytest.fixture
def messages_api(messages_api_server: MessagesApi) -> MessagesApi:
    """A Messages API that cites the prompt's first facts until it is scripted; fresh for each test."""
    messages_api_server.reset()
    return messages_api_server


@pytest.fixture
async def make_claude(messages_api: MessagesApi) -> AsyncIterator[MakeClaude]:
    """Makes clients of the loopback API, with any argument changed, and closes them in the end."""
    clients: list[Claude] = []

    async def make(**changes: Any) -> Claude:
        clients.append(await asyncio.to_thread(Claude, _options(messages_api, changes)))
        return clients[-1]

    yield make
    for client in clients:
        await client.close()


@pytest.fixture
async def make_batches(messages_api: MessagesApi) -> AsyncIterator[MakeBatches]:
    """Likewise for batches."""
    clients: list[ClaudeBatches] = []

    async def make(**changes: Any) -> ClaudeBatches:
        clients.append(await asyncio.to_thread(ClaudeBatches, _options(messages_api, changes)))
        return clients[-1]

    yield make
    for client in clients:
        await client.close()


def _options(api: MessagesApi, changes: dict[str, Any]) -> ClaudeOptions:
    options = ClaudeOptions(
        api_key=API_KEY,
        model="claude-sonnet-5-5",
        max_output_tokens=500,
        deadline_s=30.0,
        base_url=api.url,
    )
    return replace(options, **changes)
