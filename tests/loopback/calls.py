"""Calls of a chat model, as tests make them."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from context_builder.llm.chat_model import ChatModel, Delta, ModelUnavailable, Reply
from context_builder.prompt.prompt import Prompt

PROMPT = Prompt(
    system="Answer from the facts.",
    user="[H0] health (ok)\n[H1] gpt-4/aws is unhealthy\n[H2] 17 errors\n\nQuestion: which?",
)


async def ask(model: ChatModel, prompt: Prompt = PROMPT) -> tuple[list[str], Reply]:
    """The pieces, and the one reply that ends them."""
    async with aclosing(model.stream(prompt)) as stream:
        *deltas, reply = [event async for event in stream]
    assert isinstance(reply, Reply)
    pieces = [delta.text for delta in deltas if isinstance(delta, Delta)]
    assert len(pieces) == len(deltas)
    return pieces, reply


async def failure(model: ChatModel, prompt: Prompt = PROMPT) -> ModelUnavailable:
    """How the call fails; every reason is one line of plain characters."""
    with pytest.raises(ModelUnavailable) as raised:
        await ask(model, prompt)
    assert raised.value.reason == str(raised.value)
    assert raised.value.reason.isprintable()
    return raised.value


async def closed_port() -> str:
    """An address at which nobody listens."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return f"http://127.0.0.1:{port}"
