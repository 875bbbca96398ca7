"""Claude through the Messages API: one streamed call per prompt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from typing import Any

from anthropic import AsyncAPIResponse, AsyncStream
from anthropic.types import RawMessageStreamEvent
from httpx2 import AsyncBaseTransport

from context_builder.llm.chat_model import Delta, ModelUnavailable, Reply
from context_builder.llm.claude_connection import FAILURES, ApiCall, ClaudeConnection, error_text
from context_builder.llm.claude_options import ClaudeOptions
from context_builder.llm.claude_request import request_body
from context_builder.llm.message_events import ErrorEvent, MalformedStream, Transcript
from context_builder.prompt.prompt import Prompt


class Claude:
    """One model behind one connection pool; a ChatModel."""

    def __init__(self, options: ClaudeOptions, network: AsyncBaseTransport | None = None) -> None:
        """Create the client; without a network of its own it has the real one.

        Blocks, because it reads certificates and imports modules: call it in a thread.

        Raises:
            ValueError: The key or the address is not usable.
        """
        self.model = options.model
        self.max_output_tokens = options.max_output_tokens
        self._options = options
        self._connection = ClaudeConnection(options, network)
        # Looked up here because the first access imports modules.
        self._messages = self._connection.client.messages.with_streaming_response

    async def close(self) -> None:
        """Close the connections; no call may follow."""
        await self._connection.close()

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Delta | Reply, None]:
        """Yield pieces of text as they arrive, then exactly one Reply.

        An attempt is retried only until the API begins to reply, so that a question is paid for once.
        Cancelling the task or closing the generator closes the connection at once.

        Raises:
            ModelUnavailable: There is no complete reply.
        """
        clock = asyncio.get_running_loop().time
        started = clock()
        first_token_ms: int | None = None
        call = ApiCall(deadline=started + self._options.deadline_s)
        transcript = Transcript()
        try:
            async with AsyncExitStack() as stack:
                response = await self._open(prompt, call, stack)
                events = await stack.enter_async_context(aclosing(_events(response)))
                while not transcript.done:
                    # Never around the `yield`: it would cancel the work of the caller.
                    async with asyncio.timeout_at(call.deadline):
                        event = await anext(events)
                    if text := transcript.add(event):
                        if first_token_ms is None:
                            first_token_ms = round((clock() - started) * 1000)
                        yield Delta(text)
        except (*FAILURES, ErrorEvent) as error:
            usage = transcript.usage if transcript.accepted else None
            reason = self._reason(error, call, transcript)
            # With a failure no attempt has succeeded; at the deadline one may have been in progress.
            refused = bool(call.failure) and not call.unanswered and not isinstance(error, TimeoutError)
            raise ModelUnavailable(reason, transcript.text, usage, refused=refused) from error
        yield Reply(
            text=transcript.text,
            stop_reason=transcript.stop_reason,
            model=transcript.model,
            usage=transcript.usage,
            request_id=response.request_id,
            first_token_ms=first_token_ms,
            latency_ms=round((clock() - started) * 1000),
        )

    async def _open(
        self, prompt: Prompt, call: ApiCall, stack: AsyncExitStack
    ) -> AsyncAPIResponse[AsyncStream[RawMessageStreamEvent]]:
        """Send the request, with retries; leaving the stack closes the connection."""
        body = request_body(prompt, self._options)
        request = self._messages.create(
            model=body["model"],
            max_tokens=body["max_tokens"],
            system=body["system"],
            messages=body["messages"],
            stream=True,
        )
        with self._connection.track_attempts(call):
            async with asyncio.timeout_at(call.deadline):
                return await stack.enter_async_context(request)

    def _reason(self, error: Exception, call: ApiCall, transcript: Transcript) -> str:
        """Explain in one line what failed and what to do, without the key."""
        detail = error_text(error)
        remedy = "ask again" if transcript.accepted else "check ARCPOINT_ANTHROPIC_BASE_URL"
        reason = self._connection.reason(error, call)
        if reason is None:
            match error:
                case TimeoutError():
                    limit = f"{self._options.deadline_s:g} s (ARCPOINT_MODEL_DEADLINE_S)"
                    reason = f"no complete reply within {limit}; ask again or raise the limit"
                case ErrorEvent():
                    reason = f"the API broke off the reply: {detail}; ask again"
                case ValueError():
                    place = self._options.base_url
                    reason = f"{place} did not send a complete Messages stream: {detail}; {remedy}"
                case _:
                    reason = f"the connection broke during the reply: {detail}; ask again"
        return self._connection.redacted(reason)


async def _events(response: AsyncAPIResponse[Any]) -> AsyncGenerator[object, None]:
    """Yield the stream's events as JSON values; raise MalformedStream if it ends before the reply does."""
    async for event in AsyncStream.raw_events(response.http_response):
        if event.data:
            yield event.json()
    raise MalformedStream("it ended before the reply was complete")
