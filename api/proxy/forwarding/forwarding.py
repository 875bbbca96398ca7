"""Asks upstreams until one has an answer that stands; nothing has reached the client by then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import aiohttp
from aiohttp import ClientResponse

from api.proxy.call import Call
from api.proxy.forwarding.retries import Refused, backoff, pause_before_retry
from api.proxy.forwarding.upstream import (
    Outgoing,
    Upstream,
    UpstreamConnections,
    UpstreamUnreachable,
    unreachable,
)
from api.proxy.forwarding.upstreams import Upstreams
from api.proxy.headers import upstream_headers
from api.proxy.reply_capture import Reply, ReplyCapture
from context_builder.conversation.rewriter import Rewrite, Rewriter
from context_builder.text.clock import utc_now

_MAX_ERROR_BYTES = 2**20
"""Of an error's body that are read before it is decided what becomes of it."""
_FIRST_ERROR = 400
_OK = 200
_FINAL = range(_OK, 600)
"""Statuses of an answer; others are none, and no server can send them on."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long one request is tried."""

    retries: int = 1
    wait_s: float = 10.0
    """Of all pauses between attempts together."""


@dataclass(slots=True)
class Answer:
    """An answer whose first bytes are there."""

    upstream: Upstream
    response: ClientResponse
    head: bytes
    """What has been read of the body: of an error all of it, or its first megabyte."""
    error: bytes = b""
    """The body of an error, decoded."""
    error_reply: Reply | None = None
    """What it says; None: the status is not one of an error."""

    @property
    def coding(self) -> str:
        """Return the content coding of the body."""
        return self.response.headers.get("content-encoding", "").strip().lower()

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes. Raises UpstreamUnreachable if it breaks off."""
        if self.head:
            yield self.head
        try:
            async for part in self.response.content.iter_any():
                yield part
        except (aiohttp.ClientError, TimeoutError) as error:
            raise unreachable(self.upstream, error) from None


class Forwarding:
    """Forwards requests."""

    def __init__(
        self, connections: UpstreamConnections, upstreams: Upstreams, rewriter: Rewriter, patience: Patience
    ) -> None:
        self._connections = connections
        self._upstreams = upstreams
        self._rewriter = rewriter
        self._patience = patience

    def next_upstream(self, call: Call) -> Upstream:
        """Return the upstream that a call would go to now."""
        return self._upstreams.choose(call)

    async def answer(
        self, call: Call, streamed_body: AsyncIterator[bytes] | None, responses: AsyncExitStack
    ) -> Answer:
        """Return the answer that stands; a body that is streamed is sent once.

        `responses` closes every response in the end, that of the answer included.

        Raises:
            UpstreamUnreachable: The upstream that was asked last gave none.
        """
        waited, retries, has_recovered = 0.0, 0, False
        while True:
            result = await self._attempt(call, streamed_body, responses)
            if isinstance(result, Answer):
                if result.error_reply is None:
                    return result
                if not has_recovered and await self._recovered(call, result):
                    has_recovered = True
                    result.response.close()
                    continue
            pause = _pause(result, retries + 1)
            has_other = self._upstreams.has_other(call)
            if pause is not None and has_other:
                pause = 0.0
            exhausted = streamed_body is not None or (retries >= self._patience.retries and not has_other)
            if pause is None or exhausted or waited + pause > self._patience.wait_s:
                if isinstance(result, Answer):
                    return result
                raise result
            if isinstance(result, Answer):
                result.response.close()
            retries, waited = retries + 1, waited + pause
            await asyncio.sleep(pause)

    async def _attempt(
        self, call: Call, streamed_body: AsyncIterator[bytes] | None, responses: AsyncExitStack
    ) -> Answer | UpstreamUnreachable:
        upstream = self._upstreams.choose(call)
        call.begin_attempt(upstream.name)
        result: Answer | UpstreamUnreachable
        try:
            response = await self._connections.send(upstream, outgoing(call, streamed_body))
            responses.callback(response.close)
            result = await _begun(call, upstream, response)
        except UpstreamUnreachable as error:
            result = error
        failed = isinstance(result, UpstreamUnreachable) or result.response.status >= 500  # noqa: PLR2004
        self._upstreams.answered(call, upstream, failed=failed)
        return result

    async def _recovered(self, call: Call, answer: Answer) -> bool:
        """Change what is sent so that an error does not come again. Returns False if it stands."""
        if call.request is None or call.sent is None:
            return False
        status = answer.response.status
        recovery = await self._rewriter.recover(call.request, call.sent, status, answer.error)
        call.sent = recovery or call.sent
        return recovery is not None


async def _begun(call: Call, upstream: Upstream, response: ClientResponse) -> Answer:
    """Return an answer once it is known what it is. Raises UpstreamUnreachable."""
    if response.status not in _FINAL:
        raise unreachable(upstream, ValueError(response.status))
    is_error = response.status >= _FIRST_ERROR
    wanted = _MAX_ERROR_BYTES if is_error else 1
    head = bytearray()
    try:
        while len(head) < wanted and not response.content.at_eof():
            head += await response.content.readany()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise unreachable(upstream, error) from None
    if not head and call.is_conversation and response.status == _OK:
        raise UpstreamUnreachable(f"the upstream {upstream.name} answered 200 with nothing")
    answer = Answer(upstream, response, bytes(head))
    if is_error:
        capture = ReplyCapture(is_stream=False, coding=answer.coding)
        capture.feed(answer.head)
        answer.error, answer.error_reply = capture.content, capture.end()
    return answer


def _pause(result: Answer | UpstreamUnreachable, attempt: int) -> float | None:
    """Return the seconds to wait before the next attempt; None: the result stands."""
    if isinstance(result, UpstreamUnreachable):
        return None if result.is_final else backoff(attempt)
    code = result.error_reply.error_code if result.error_reply else None
    response = result.response
    return pause_before_retry(Refused(response.status, response.headers, code), attempt, utc_now())


def outgoing(call: Call, streamed_body: AsyncIterator[bytes] | None) -> Outgoing:
    """Return a request as it is sent: the client's own bytes unless they were changed."""
    sent = call.sent or Rewrite(b"")
    headers = upstream_headers(call.headers, sent.headers)
    if streamed_body is not None:
        length = call.headers.get("content-length", "")
        return Outgoing(
            call.method, call.target, headers, streamed_body, int(length) if length.isdecimal() else None
        )
    if not call.is_conversation:
        return Outgoing(call.method, call.target, headers, None)
    if call.request is None or (sent.body == call.request.body and not sent.dropped_encoding):
        return Outgoing(call.method, call.target, headers, call.raw_body)
    headers.popall("content-encoding", None)
    return Outgoing(call.method, call.target, headers, sent.body)
