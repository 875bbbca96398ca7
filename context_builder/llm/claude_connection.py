"""The connection to the API: one isolated SDK client, and the reasons why its calls fail."""

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
from context_builder.llm.api_errors import ApiError, quoted_message, retry_after_s
from context_builder.llm.claude_options import API_URL, ClaudeOptions

_CONNECT_S = 5.0
_MIN_SECRET_CHARACTERS = 8
"""A shorter key is not a secret, and redacting it would garble words."""
_AMBIGUOUS_STATUSES = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT)
"""Client errors that do not rule out that the request took effect."""

FAILURES = (
    TimeoutError,
    anthropic.AnthropicError,
    httpx2.HTTPError,
    httpx2.StreamError,
    # Malformed replies, and the errors of JSON and UTF-8.
    ValueError,
)
"""The exceptions of a failed call."""


@dataclass(slots=True)
class ApiCall:
    """One call with all its attempts."""

    deadline: float
    """On the event loop's clock, in seconds."""
    idempotent: bool = True
    """If False, only a request that was definitely refused is tried again."""
    failure: str = ""
    """Why the last attempt failed; empty if none has."""
    outcome_unknown: bool = False
    """True if a call that is not idempotent may have taken effect without a confirmation."""
    unanswered: bool = False
    """True if an attempt was sent and got no response: it may be billed."""


class NoResponse(ContextBuilderError):
    """A call that must not be repeated got no response."""


_current_call: ContextVar[ApiCall] = ContextVar("current_call")


class ClaudeConnection:
    """One connection pool to one address with one key.

    Isolated from the machine: no key, address, header, proxy, certificate or profile that the environment or
    files hold for other programs is used.
    """

    def __init__(self, options: ClaudeOptions, network: httpx2.AsyncBaseTransport | None = None) -> None:
        """Create the client; without a network of its own it has the real one.

        Blocks, because it reads certificates and imports modules: call it in a thread.

        Raises:
            ValueError: The key or the address is not usable.
        """
        self.options = options
        _check_key(options.api_key)
        _check_url(options.base_url)
        timeout = httpx2.Timeout(None, connect=min(_CONNECT_S, options.deadline_s))
        self.client = anthropic.AsyncAnthropic(
            api_key=options.api_key,
            base_url=options.base_url,
            webhook_key="",
            open_telemetry=False,
            max_retries=options.max_retries,
            timeout=timeout,
            middleware=[self._watch_attempt],
            http_client=httpx2.AsyncClient(
                transport=network,
                timeout=timeout,
                trust_env=False,
                # A redirect would send the prompt to an address that nobody configured.
                follow_redirects=False,
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
            ),
        )
        self.client._custom_headers = {}  # noqa: SLF001 - no argument keeps ANTHROPIC_CUSTOM_HEADERS out

    async def close(self) -> None:
        """Close the connections; no call may follow."""
        await self.client.close()

    @contextmanager
    def track_attempts(self, call: ApiCall) -> Iterator[None]:
        """Record the requests that are sent within the block as attempts of this call."""
        token = _current_call.set(call)
        try:
            yield
        finally:
            _current_call.reset(token)

    def reason(self, error: Exception, call: ApiCall) -> str | None:
        """Explain in one line why a call got no reply at all; None for other kinds of failure."""
        match error:
            case TimeoutError() if call.failure:
                return f"no reply within {self.options.deadline_s:g} s; the last attempt: {call.failure}"
            case NoResponse():
                return call.failure
            case anthropic.APIStatusError():
                return api_error_of(error).reason(self.options.model, self.options.base_url)
            case anthropic.APIConnectionError():
                return self._unreachable(error)
            case UnicodeEncodeError():
                return f"the prompt cannot be sent, it is not valid Unicode: {error_text(error)}"
        return None

    def redacted(self, reason: str) -> str:
        """Return the reason without the key, in case the other side repeated it."""
        key = self.options.api_key
        return reason.replace(key, "[key]") if len(key) >= _MIN_SECRET_CHARACTERS else reason

    async def _watch_attempt(self, request: APIRequest, call_next: AsyncCallNext) -> AsyncAPIResponse[Any]:
        """Record why an attempt failed; prevent retries that would come too late or could act twice.

        Raises:
            NoResponse: The call is not idempotent and may have taken effect.
        """
        call = _current_call.get()
        call.outcome_unknown = not call.idempotent
        try:
            response = await call_next(request)
        except anthropic.APIConnectionError as error:
            call.failure = self._unreachable(error)
            was_sent = not _never_sent(error)
            call.unanswered |= was_sent
            call.outcome_unknown = was_sent and not call.idempotent
            if call.outcome_unknown:
                # The SDK retries every error that is caused by a connection error.
                raise NoResponse from None
            raise
        if response.http_response.is_success:
            call.failure = ""
            return response
        call.failure = ApiError(response.status_code).reason(self.options.model, self.options.base_url)
        call.outcome_unknown = not call.idempotent and not is_definite_refusal(response.status_code)
        wait_s = retry_after_s(response.headers)
        if wait_s is None:
            # The SDK raises on a date that cannot be parsed.
            response.headers.pop("retry-after", None)
        too_late = wait_s is not None and asyncio.get_running_loop().time() + wait_s >= call.deadline
        if too_late or call.outcome_unknown:
            response.headers["x-should-retry"] = "false"
        return response

    def _unreachable(self, error: anthropic.APIConnectionError) -> str:
        remedy = "check the network and ARCPOINT_ANTHROPIC_BASE_URL"
        return f"cannot reach {self.options.base_url}: {_cause(error)}; {remedy}"


def is_definite_refusal(status: int) -> bool:
    """Return True if an HTTP error status guarantees that the request had no effect."""
    return status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _AMBIGUOUS_STATUSES


def error_text(error: BaseException) -> str:
    """Return the message of an error as one line that is never empty."""
    return quoted_message(str(error)) or type(error).__name__


def api_error_of(error: anthropic.APIStatusError) -> ApiError:
    """Return the API's error response behind an SDK exception."""
    return ApiError(
        status=error.status_code,
        kind=str(error.type or ""),
        message=str(error.api_message or ""),
        retry_after_s=retry_after_s(error.response.headers),
    )


def _never_sent(error: BaseException) -> bool:
    """Return True if no connection was established, so that the request cannot have been sent."""
    return isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout)


def _cause(error: BaseException) -> str:
    """Return the operating system's message, which the libraries in between replace with generic ones."""
    chain = [error]
    while inner := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(inner)
    system = next((each for each in chain if isinstance(each, OSError) and each.errno), None)
    if isinstance(system, ConnectionRefusedError):
        return "connection refused"
    return error_text(system or error.__cause__ or error)


def _check_key(key: str) -> None:
    """Raise ValueError for a key that cannot be sent in a header."""
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("the API key is empty, or holds spaces or other characters that no key has")


def _check_url(url: str) -> None:
    """Raise ValueError for an address that cannot be called, or that would show a password in messages."""
    try:
        parts = httpx2.URL(url)
        usable = parts.scheme in ("http", "https") and parts.host and not parts.userinfo
    except httpx2.InvalidURL:
        usable = False
    if not usable:
        raise ValueError(f"the API's address must be like {API_URL}: http or https, a host, no user name")
