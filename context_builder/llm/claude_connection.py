"""The connection to the API: one SDK client that takes nothing from the machine, and why its calls fail."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import anthropic
import httpx2
from anthropic import APIRequest, AsyncAPIResponse, AsyncCallNext

from context_builder.errors import ContextBuilderError
from context_builder.llm.api_errors import ApiError, one_line, retry_after_s

API_URL = "https://api.anthropic.com"

_CONNECT_S = 5.0
_MIN_SECRET = 8
"""A shorter key is no secret, and replacing it would garble words."""
_PERHAPS_DONE = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT)
"""Refusals that do not say whether something has happened."""

FAILURES = (
    TimeoutError,
    anthropic.AnthropicError,
    httpx2.HTTPError,
    httpx2.StreamError,
    # Malformed replies, and the errors of JSON and UTF-8.
    ValueError,
)
"""What a call raises that did not work out."""


@dataclass(slots=True)
class Call:
    """One call, with all its attempts."""

    deadline: float
    """On the event loop's clock."""
    once: bool = False
    """Whether it must not be carried out twice; then only what was refused for certain is tried again."""
    failure: str = ""
    """Why the last attempt failed; empty: none has."""
    perhaps_done: bool = False
    """Whether an attempt may have been carried out, although nothing says so."""
    unanswered: bool = False
    """Whether any attempt was sent and got no answer: it may be billed."""


class NoResponse(ContextBuilderError):
    """A call that must not be repeated got no answer; the message says why, in one line."""


_current_call: ContextVar[Call] = ContextVar("current_call")


class ClaudeConnection:
    """One pool of connections to one address, with one key.

    Nothing is taken from the machine: no key, address, header, proxy, certificate or profile that its
    environment or its files hold for other programs.
    """

    def __init__(
        self, *, api_key: str, model: str, deadline_s: float, base_url: str | None, max_retries: int
    ) -> None:
        """`model` is what reasons name.

        Reads certificates and imports modules: make it outside the event loop, or in a thread of its own.
        Raises ValueError for a key or an address that no call could use.
        """
        self.model = model
        self.deadline_s = deadline_s
        self._api_key = _checked_key(api_key)
        self.base_url = _checked_url(base_url or API_URL)
        timeout = httpx2.Timeout(None, connect=min(_CONNECT_S, deadline_s))
        self.client = anthropic.AsyncAnthropic(
            api_key=self._api_key,
            base_url=self.base_url,
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
        self.client._custom_headers = {}  # noqa: SLF001 - no argument keeps ANTHROPIC_CUSTOM_HEADERS out

    async def close(self) -> None:
        """Closes the connections; no call may follow."""
        await self.client.close()

    @contextmanager
    def attempts_of(self, call: Call) -> Iterator[None]:
        """Requests that are sent within the block are attempts of this call."""
        token = _current_call.set(call)
        try:
            yield
        finally:
            _current_call.reset(token)

    def reason(self, error: Exception, call: Call) -> str | None:
        """Why a call got no reply at all, in one line that says what to do; None: it is not of that kind."""
        match error:
            case TimeoutError() if call.failure:
                return f"no reply within {self.deadline_s:g} s; the last attempt: {call.failure}"
            case NoResponse():
                return call.failure
            case anthropic.APIStatusError():
                return api_error_of(error).reason(self.model, self.base_url)
            case anthropic.APIConnectionError():
                return self._unreachable(error)
            case UnicodeEncodeError():
                return f"the prompt cannot be sent, it is not valid Unicode: {error_text(error)}"
        return None

    def redacted(self, reason: str) -> str:
        """The reason without the key, should the other side have repeated it."""
        return reason.replace(self._api_key, "[key]") if len(self._api_key) >= _MIN_SECRET else reason

    async def _watch_attempt(self, request: APIRequest, call_next: AsyncCallNext) -> AsyncAPIResponse[Any]:
        """Remembers why an attempt failed, and forbids a retry that could only come after the deadline.

        Raises Unanswered where a retry could be a second time.
        """
        call = _current_call.get()
        call.perhaps_done = call.once
        try:
            response = await call_next(request)
        except anthropic.APIConnectionError as error:
            call.failure = self._unreachable(error)
            call.unanswered |= not _never_sent(error)
            call.perhaps_done = call.once and not _never_sent(error)
            if call.perhaps_done:
                # The SDK tries again whatever has a connection error as its cause.
                raise NoResponse from None
            raise
        if response.http_response.is_success:
            call.failure = ""
            return response
        call.failure = ApiError(response.status_code).reason(self.model, self.base_url)
        call.perhaps_done = call.once and not is_certain(response.status_code)
        wait_s = retry_after_s(response.headers)
        if wait_s is None:
            # The SDK fails on a date that cannot be read.
            response.headers.pop("retry-after", None)
        late = wait_s is not None and asyncio.get_running_loop().time() + wait_s >= call.deadline
        if late or call.perhaps_done:
            response.headers["x-should-retry"] = "false"
        return response

    def _unreachable(self, error: anthropic.APIConnectionError) -> str:
        remedy = "check the network and ARCPOINT_ANTHROPIC_BASE_URL"
        return f"cannot reach {self.base_url}: {_cause(error)}; {remedy}"


def is_certain(status: int) -> bool:
    """Whether an HTTP status other than 2xx says that nothing was done."""
    return status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _PERHAPS_DONE


def error_text(error: BaseException) -> str:
    """What an error says, in one line that is never empty."""
    return one_line(str(error)) or type(error).__name__


def api_error_of(error: anthropic.APIStatusError) -> ApiError:
    """What the API said when it refused a call."""
    return ApiError(
        status=error.status_code,
        kind=str(error.type or ""),
        message=str(error.api_message or ""),
        retry_after_s=retry_after_s(error.response.headers),
    )


def _never_sent(error: BaseException) -> bool:
    """Whether there was no connection yet over which the request could have gone."""
    return isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout)


def _cause(error: BaseException) -> str:
    """What the operating system said, which the libraries in between bury in general sentences."""
    chain = [error]
    while inner := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(inner)
    system = next((each for each in chain if isinstance(each, OSError) and each.errno), None)
    if isinstance(system, ConnectionRefusedError):
        return "connection refused"
    return error_text(system or error.__cause__ or error)


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
