"""Claude through the Messages API: one streamed call per prompt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from typing import Any

from anthropic import AsyncAPIResponse, AsyncStream
from anthropic.types import RawMessageStreamEvent

from context_builder.llm.chat_model import Delta, ModelUnavailable, Reply
from context_builder.llm.claude_connection import API_URL, FAILURES, Call, ClaudeConnection, error_text
from context_builder.llm.claude_request import request_of
from context_builder.llm.message_events import ErrorEvent, MalformedStream, Transcript
from context_builder.llm.pricing import UNKNOWN_CACHE_MINIMUM
from context_builder.prompt.prompt import Prompt

__all__ = ["API_URL", "Claude"]


class Claude:
    """One model, reached through one pool of connections; a ChatModel.

    Nothing is taken from the machine, see ClaudeConnection.
    """

    def __init__(
        self,
        *,
        api_key: str,
        model: str,
        max_output_tokens: int,
        deadline_s: float,
        base_url: str | None = None,
        max_retries: int = 2,
        cache_minimum: int = UNKNOWN_CACHE_MINIMUM,
    ) -> None:
        """`deadline_s` bounds a whole call: connecting, retries and their waits, the stream to its end.

        `cache_minimum` is the model's: the fewest tokens of a prefix that the API caches.

        Reads certificates and imports modules: make it outside the event loop, or in a thread of its own.
        Raises ValueError for a key or an address that no call could use.
        """
        self.model = model
        self.max_output_tokens = max_output_tokens
        self._cache_minimum = cache_minimum
        self._connection = ClaudeConnection(
            api_key=api_key,
            model=model,
            deadline_s=deadline_s,
            base_url=base_url,
            max_retries=max_retries,
        )
        # Looked up here because the first time imports modules.
        self._messages = self._connection.client.messages.with_streaming_response

    async def close(self) -> None:
        """Closes the connections; no call may follow."""
        await self._connection.close()

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Delta | Reply, None]:
        """Pieces of text as they arrive, then exactly one Reply; raises ModelUnavailable.

        An attempt is repeated only while the API has not begun to reply, so that a question is paid for once.
        Cancelling the task or closing the generator closes the connection at once.
        """
        clock = asyncio.get_running_loop().time
        started = clock()
        first_token_ms: int | None = None
        call = Call(deadline=started + self._connection.deadline_s)
        transcript = Transcript()
        try:
            async with AsyncExitStack() as stack:
                response = await self._open(prompt, call, stack)
                events = await stack.enter_async_context(aclosing(_events(response)))
                while not transcript.done:
                    # Never around the `yield`: there it would cancel whatever the caller does meanwhile.
                    async with asyncio.timeout_at(call.deadline):
                        event = await anext(events)
                    if text := transcript.add(event):
                        if first_token_ms is None:
                            first_token_ms = round((clock() - started) * 1000)
                        yield Delta(text)
        except (*FAILURES, ErrorEvent) as error:
            usage = transcript.usage if transcript.accepted else None
            reason = self._reason(error, call, transcript)
            # With a failure no attempt has succeeded; at the deadline one may have been under way.
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
        self, prompt: Prompt, call: Call, stack: AsyncExitStack
    ) -> AsyncAPIResponse[AsyncStream[RawMessageStreamEvent]]:
        """Sends the request, again where that may help; leaving the stack closes the connection."""
        body = request_of(
            prompt,
            model=self.model,
            max_output_tokens=self.max_output_tokens,
            cache_minimum=self._cache_minimum,
        )
        request = self._messages.create(
            model=body["model"],
            max_tokens=body["max_tokens"],
            system=body["system"],
            messages=body["messages"],
            stream=True,
        )
        with self._connection.attempts_of(call):
            async with asyncio.timeout_at(call.deadline):
                return await stack.enter_async_context(request)

    def _reason(self, error: Exception, call: Call, transcript: Transcript) -> str:
        """One line that says what to do, without the key."""
        said = error_text(error)
        then = "ask again" if transcript.accepted else "check ARCPOINT_ANTHROPIC_BASE_URL"
        reason = self._connection.reason(error, call)
        if reason is None:
            match error:
                case TimeoutError():
                    limit = f"{self._connection.deadline_s:g} s (ARCPOINT_MODEL_DEADLINE_S)"
                    reason = f"no whole reply within {limit}; ask again or raise the limit"
                case ErrorEvent():
                    reason = f"the API broke off the reply: {said}; ask again"
                case ValueError():
                    place = self._connection.base_url
                    reason = f"{place} did not send a whole Messages stream: {said}; {then}"
                case _:
                    reason = f"the connection broke during the reply: {said}; ask again"
        return self._connection.redacted(reason)


async def _events(response: AsyncAPIResponse[Any]) -> AsyncGenerator[object, None]:
    """The stream's events as JSON values; raises where it ends, which it should not before it is done."""
    async for event in AsyncStream.raw_events(response.http_response):
        if event.data:
            yield event.json()
    raise MalformedStream("it ended before the reply was whole")
