"""Claude through the Messages API: one streamed call per prompt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx2
from anthropic import APIRequest, AsyncAPIResponse, AsyncCallNext, AsyncStream
from anthropic.types import RawMessageStreamEvent, TextBlockParam

from context_builder.chat_model import Delta, ModelUnavailable, Reply
from context_builder.message_events import ErrorEvent, MalformedStream, Transcript
from context_builder.pricing import UNKNOWN_CACHE_MINIMUM
from context_builder.prompt import Prompt
from context_builder.prompt_cache import Breakpoint, breakpoint_of
from context_builder.refusal import Refusal, one_line, retry_after_s

API_URL = "https://api.anthropic.com"

_CONNECT_S = 5.0
_SHORTEST_SECRET = 8
"""A shorter key is no secret, and replacing it would garble words."""
_FAILURES = (
    TimeoutError,
    anthropic.AnthropicError,
    httpx2.HTTPError,
    httpx2.StreamError,
    ErrorEvent,
    # Malformed streams, and the errors of JSON and UTF-8.
    ValueError,
)


@dataclass(slots=True)
class _Call:
    """One call, with all its attempts."""

    deadline: float
    """On the event loop's clock."""
    failure: str = ""
    """Why the last attempt failed; empty: none has."""


_current_call: ContextVar[_Call] = ContextVar("current_call")


class Claude:
    """One model, reached through one pool of connections; a ChatModel.

    Nothing is taken from the machine: no key, address, header, proxy, certificate or profile that its
    environment or its files hold for other programs.
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
        self._api_key = _checked_key(api_key)
        self._base_url = _checked_url(base_url or API_URL)
        self._deadline_s = deadline_s
        self._cache_minimum = cache_minimum
        timeout = httpx2.Timeout(None, connect=min(_CONNECT_S, deadline_s))
        self._client = anthropic.AsyncAnthropic(
            api_key=self._api_key,
            base_url=self._base_url,
            webhook_key="",
            open_telemetry=False,
            max_retries=max_retries,
            timeout=timeout,
            middleware=[self._watch_attempt],
            http_client=httpx2.AsyncClient(
                timeout=timeout,
                trust_env=False,
                # A redirect would carry the prompt to an address that nobody configured.
                follow_redirects=False,
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
            ),
        )
        self._client._custom_headers = {}  # noqa: SLF001 - no argument keeps ANTHROPIC_CUSTOM_HEADERS out
        # Looked up here because the first time imports modules.
        self._messages = self._client.messages.with_streaming_response

    async def close(self) -> None:
        """Closes the connections; no call may follow."""
        await self._client.close()

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Delta | Reply, None]:
        """Pieces of text as they arrive, then exactly one Reply; raises ModelUnavailable.

        An attempt is repeated only while the API has not begun to reply, so that a question is paid for once.
        Cancelling the task or closing the generator closes the connection at once.
        """
        clock = asyncio.get_running_loop().time
        started = clock()
        first_token_ms: int | None = None
        call = _Call(deadline=started + self._deadline_s)
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
        except _FAILURES as error:
            usage = transcript.usage if transcript.accepted else None
            raise ModelUnavailable(self._reason(error, call, transcript), transcript.text, usage) from error
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
        self, prompt: Prompt, call: _Call, stack: AsyncExitStack
    ) -> AsyncAPIResponse[AsyncStream[RawMessageStreamEvent]]:
        """Sends the request, again where that may help; leaving the stack closes the connection."""
        cached = breakpoint_of(prompt, self._cache_minimum)
        stable = [_block(prompt.stable, is_last_cached=cached is Breakpoint.STABLE)] if prompt.stable else []
        request = self._messages.create(
            model=self.model,
            max_tokens=self.max_output_tokens,
            system=[_block(prompt.system, is_last_cached=cached is Breakpoint.SYSTEM)],
            messages=[{"role": "user", "content": [*stable, _block(prompt.user)]}],
            stream=True,
        )
        token = _current_call.set(call)
        try:
            async with asyncio.timeout_at(call.deadline):
                return await stack.enter_async_context(request)
        finally:
            _current_call.reset(token)

    async def _watch_attempt(self, request: APIRequest, call_next: AsyncCallNext) -> AsyncAPIResponse[Any]:
        """Remembers why an attempt failed, and forbids a retry that could only come after the deadline."""
        call = _current_call.get()
        try:
            response = await call_next(request)
        except anthropic.APIConnectionError as error:
            call.failure = self._unreachable(error)
            raise
        if response.http_response.is_success:
            call.failure = ""
            return response
        call.failure = Refusal(response.status_code).reason(self.model, self._base_url)
        wait_s = retry_after_s(response.headers)
        if wait_s is None:
            # The SDK fails on a date that cannot be read.
            response.headers.pop("retry-after", None)
        elif asyncio.get_running_loop().time() + wait_s >= call.deadline:
            response.headers["x-should-retry"] = "false"
        return response

    def _reason(self, error: Exception, call: _Call, transcript: Transcript) -> str:
        """One line that says what to do, without the key, should the other side have repeated it."""
        said = one_line(str(error)) or type(error).__name__
        then = "ask again" if transcript.accepted else "check ARCPOINT_ANTHROPIC_BASE_URL"
        match error:
            case TimeoutError() if call.failure:
                reason = f"no reply within {self._deadline_s:g} s; the last attempt: {call.failure}"
            case TimeoutError():
                limit = f"{self._deadline_s:g} s (ARCPOINT_MODEL_DEADLINE_S)"
                reason = f"no whole reply within {limit}; ask again or raise the limit"
            case anthropic.APIStatusError():
                reason = _refusal(error).reason(self.model, self._base_url)
            case anthropic.APIConnectionError():
                reason = self._unreachable(error)
            case ErrorEvent():
                reason = f"the API broke off the reply: {said}; ask again"
            case UnicodeEncodeError():
                reason = f"the prompt cannot be sent, it is not valid Unicode: {said}"
            case ValueError():
                reason = f"{self._base_url} did not send a whole Messages stream: {said}; {then}"
            case _:
                reason = f"the connection broke during the reply: {said}; ask again"
        return reason.replace(self._api_key, "[key]") if len(self._api_key) >= _SHORTEST_SECRET else reason

    def _unreachable(self, error: anthropic.APIConnectionError) -> str:
        remedy = "check the network and ARCPOINT_ANTHROPIC_BASE_URL"
        return f"cannot reach {self._base_url}: {_cause(error)}; {remedy}"


def _block(text: str, *, is_last_cached: bool = False) -> TextBlockParam:
    """A text of the prompt; the last one of the cached prefix says so."""
    block = TextBlockParam(type="text", text=text)
    return {**block, "cache_control": {"type": "ephemeral"}} if is_last_cached else block


async def _events(response: AsyncAPIResponse[Any]) -> AsyncGenerator[object, None]:
    """The stream's events as JSON values; raises where it ends, which it should not before it is done."""
    async for event in AsyncStream.raw_events(response.http_response):
        if event.data:
            yield event.json()
    raise MalformedStream("it ended before the reply was whole")


def _refusal(error: anthropic.APIStatusError) -> Refusal:
    return Refusal(
        status=error.status_code,
        kind=str(error.type or ""),
        message=str(error.api_message or ""),
        retry_after_s=retry_after_s(error.response.headers),
    )


def _cause(error: BaseException) -> str:
    """What the operating system said, which the libraries in between bury in general sentences."""
    chain = [error]
    while inner := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(inner)
    system = next((each for each in chain if isinstance(each, OSError) and each.errno), None)
    if isinstance(system, ConnectionRefusedError):
        return "connection refused"
    direct = system or error.__cause__ or error
    return one_line(str(direct)) or type(direct).__name__


def _checked_key(key: str) -> str:
    """The key, if it can be sent in a header."""
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("the API key is empty, or holds spaces or other characters that no key has")
    return key


def _checked_url(url: str) -> str:
    """The address, if a request can go there and no reason gives a password away with it."""
    try:
        parts = httpx2.URL(url)
        usable = parts.scheme in ("http", "https") and parts.host and not parts.userinfo
    except httpx2.InvalidURL:
        usable = False
    if not usable:
        raise ValueError(f"the API's address must be like {API_URL}: http or https, a host, no user name")
    return url
