"""One place that requests are forwarded to, and the connections to it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any

import aiohttp
from aiohttp import (
    ClientPayloadError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
)
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDict
from pydantic import SecretStr
from yarl import URL

from api.errors import ArcpointApiError
from api.proxy.headers import CREDENTIALS

CONNECT_S = 5.0
"""As the API's own SDK has it."""
_POOL_WAIT_S = 30.0
"""How long a request waits for a connection when all are in use."""
_DNS_S = 60
_MAX_LINE = 65_536
"""Bytes of one header; the library's own limit is below what some gateways send."""
_PIECE = 2**18
_WHOLE = 2**20
"""Bytes that are handed to the socket in one piece; larger bodies go in pieces."""
_NO_DEFAULTS = ("accept", "accept-encoding", "content-type", "user-agent")
"""Headers that the library would add to requests without them."""


class UpstreamUnreachable(ArcpointApiError):
    """No answer could be had of an upstream; the message says why."""

    def __init__(self, message: str, *, is_timeout: bool = False, is_final: bool = True) -> None:
        super().__init__(message)
        self.is_timeout = is_timeout
        self.is_final = is_final
        """False if another attempt may succeed and cannot cost anything twice."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """An upstream of the Messages API."""

    name: str
    """The backend of its deployments."""
    url: str
    """Without a trailing slash; may have a path."""
    api_key: SecretStr | None = None
    """Sent in place of the client's credential; None: the client's own is."""

    def headers(self, headers: CIMultiDict[str]) -> CIMultiDict[str]:
        """Return headers with this upstream's credential, if it has one."""
        if self.api_key is None:
            return headers
        own = CIMultiDict(headers)
        for name in CREDENTIALS:
            own.popall(name, None)
        own["x-api-key"] = self.api_key.get_secret_value()
        return own


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request as it is sent to an upstream."""

    method: str
    target: str
    """Path and query, encoded as the client had them."""
    headers: CIMultiDict[str]
    body: bytes | AsyncIterable[bytes] | None
    """None: the request has no body."""
    length: int | None = None
    """Of a body that is passed on as it comes; None if it is not known."""


class UpstreamConnections:
    """Sends requests over pooled connections; no cookies, no redirects, no decoding."""

    def __init__(self, session: ClientSession, silence_s: float) -> None:
        self._session = session
        self._silence_s = silence_s

    async def send(self, upstream: Upstream, outgoing: Outgoing) -> ClientResponse:
        """Send a request and return the response once its headers are there; close or read it to its end.

        Raises:
            UpstreamUnreachable: There was no answer, or what came was none.
        """
        headers = upstream.headers(outgoing.headers)
        body = outgoing.body
        if isinstance(body, bytes):
            headers["content-length"] = str(len(body))
            body = body if len(body) <= _WHOLE else _pieces(body)
        elif outgoing.length is not None:
            headers["content-length"] = str(outgoing.length)
        try:
            # The library's own timeout ends with the first interim answer (103), or never, if they go on.
            async with asyncio.timeout(self._silence_s if isinstance(outgoing.body, bytes | None) else None):
                return await self._session.request(
                    outgoing.method,
                    URL(upstream.url + outgoing.target, encoded=True),
                    headers=headers,
                    data=body,
                    allow_redirects=False,
                )
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise unreachable(upstream, error) from None


@asynccontextmanager
async def open_connections(
    *, limit: int, silence_s: float, trusted: SSLContext
) -> AsyncIterator[UpstreamConnections]:
    """Open a pool of at most `limit` connections, whose responses fail after `silence_s` without a byte."""
    timeout = ClientTimeout(
        total=None, connect=CONNECT_S + _POOL_WAIT_S, sock_connect=CONNECT_S, sock_read=silence_s
    )
    connector = TCPConnector(limit=limit, ttl_dns_cache=_DNS_S, ssl=trusted)
    made_here: Any = functools.partial(_Connection, loop=asyncio.get_running_loop())
    connector._factory = made_here  # noqa: SLF001  the library has no public place for it
    async with ClientSession(
        connector=connector,
        cookie_jar=DummyCookieJar(),
        auto_decompress=False,
        timeout=timeout,
        skip_auto_headers=_NO_DEFAULTS,
        max_line_size=_MAX_LINE,
        max_field_size=_MAX_LINE,
        middlewares=(),
    ) as session:
        yield UpstreamConnections(session, silence_s)


class _Connection(ResponseHandler):
    """A connection that also fails the reader of a body when it is closed because a chunk is malformed.

    The library (3.14.5) tells it nothing, and its timeout has ended by then.
    """

    def connection_lost(self, exc: BaseException | None) -> None:
        """Fail a body that has neither ended nor failed."""
        body = self._payload
        super().connection_lost(exc)
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(ClientPayloadError("the connection was closed amid the body"))


def unreachable(upstream: Upstream, error: Exception) -> UpstreamUnreachable:
    """Return an error of the library as ours."""
    is_final, reason = True, type(error).__name__
    match error:
        case aiohttp.ClientConnectorError():
            is_final, reason = False, f"cannot connect: {error.strerror or type(error.os_error).__name__}"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            # Mostly a connection that was kept too long, which the request never reached.
            is_final, reason = False, "it closed the connection"
        case TimeoutError():
            reason = "it did not answer in time"
        case aiohttp.ClientResponseError() | ValueError():
            reason = "what it sent is not HTTP"
    message = f"no answer from the upstream {upstream.name}: {reason}"
    return UpstreamUnreachable(message, is_timeout=isinstance(error, TimeoutError), is_final=is_final)


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    view = memoryview(body)
    for start in range(0, len(body), _PIECE):
        yield bytes(view[start : start + _PIECE])
