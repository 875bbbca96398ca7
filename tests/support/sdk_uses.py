"""What clients do with the SDK, whichever release is installed.

`python -m tests.support.sdk_uses URL KEY` prints as JSON what each use gave, and which release it was.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic

Use = Callable[[anthropic.AsyncAnthropic], Awaitable[Any]]
ASK: dict[str, Any] = {
    "model": "claude-haiku-5-5",
    "max_tokens": 200,
    "messages": [{"role": "user", "content": "Say it."}],
}
TOOLS: Any = [{"name": "add", "description": "Adds.", "input_schema": {"type": "object"}}]


async def _create(client: anthropic.AsyncAnthropic) -> Any:
    return (await client.messages.create(**ASK)).to_dict()


async def _create_with_tools(client: anthropic.AsyncAnthropic) -> Any:
    return (await client.messages.create(**ASK, tools=TOOLS)).to_dict()


async def _stream(client: anthropic.AsyncAnthropic) -> Any:
    async with client.messages.stream(**ASK) as stream:
        texts = [text async for text in stream.text_stream]
        return [texts, (await stream.get_final_message()).to_dict()]


async def _count(client: anthropic.AsyncAnthropic) -> Any:
    counted = await client.messages.count_tokens(model=ASK["model"], messages=ASK["messages"])
    return counted.to_dict()


async def _models(client: anthropic.AsyncAnthropic) -> Any:
    listed = [model.id async for model in client.models.list(limit=1)]
    return [listed, (await client.models.retrieve(listed[0])).to_dict(mode="json")]


async def _batches(client: anthropic.AsyncAnthropic) -> Any:
    request: Any = {"custom_id": "a", "params": ASK}
    made = await client.messages.batches.create(requests=[request])
    found = await client.messages.batches.retrieve(made.id)
    results = [each async for each in await client.messages.batches.results(made.id)]
    return [found.processing_status, [each.custom_id for each in results]]


async def _refused(client: anthropic.AsyncAnthropic) -> Any:
    try:
        await client.messages.create(**ASK | {"model": 7})
    except anthropic.APIStatusError as error:
        document: Any = error.body
        return [type(error).__name__, error.status_code, document["error"]]
    raise AssertionError("the request was not refused")


USES: dict[str, Use] = {
    "a message": _create,
    "a message with tools": _create_with_tools,
    "a stream": _stream,
    "count_tokens": _count,
    "models": _models,
    "batches": _batches,
    "a refused request": _refused,
}


async def results(url: str, key: str) -> dict[str, Any]:
    """What each use gives."""
    async with anthropic.AsyncAnthropic(api_key=key, base_url=url, max_retries=0) as client:
        return {name: await use(client) for name, use in USES.items()}


if __name__ == "__main__":
    found = asyncio.run(results(*sys.argv[1:]))
    print(json.dumps({"release": anthropic.__version__, "results": found}))  # noqa: T201 - the caller reads it
