"""The request of a model call as it would be sent, byte for byte, without sending it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace

import httpx2
from typing_extensions import override

from context_builder.llm.chat_model import ModelUnavailable
from context_builder.llm.claude import Claude
from context_builder.llm.claude_options import ClaudeOptions
from context_builder.prompt.prompt import Prompt


@dataclass(frozen=True, slots=True)
class UnsentRequest:
    """What a call would send."""

    url: str
    body: bytes


class _Keeping(httpx2.AsyncBaseTransport):
    """Takes the place of the network at the client's last step, so that nothing can differ from a call."""

    def __init__(self) -> None:
        self.kept: UnsentRequest | None = None

    @override
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.kept = UnsentRequest(str(request.url), await request.aread())
        raise httpx2.ConnectError("kept, not sent")


async def unsent_request(prompt: Prompt, options: ClaudeOptions) -> UnsentRequest:
    """Return the request of a call.

    Raises:
        ModelUnavailable: the prompt cannot be sent.
        ValueError: the key or the address is not usable.
    """
    network = _Keeping()
    model = await asyncio.to_thread(Claude, replace(options, max_retries=0), network)
    try:
        with suppress(ModelUnavailable):
            async with aclosing(model.stream(prompt)) as pieces:
                await anext(pieces)
    finally:
        await model.close()
    if network.kept is None:
        raise ModelUnavailable("the prompt cannot be sent, it is not valid Unicode")
    return network.kept
