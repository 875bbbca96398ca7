"""The proxy as an ASGI application: one request from its first byte to its one end."""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from http import HTTPStatus

from starlette.types import Receive, Scope, Send

from api.proxy.call import Call
from api.proxy.client.client_connection import ClientConnection
from api.proxy.client.credentials import Senders
from api.proxy.client.request_body import MAX_BODY_BYTES, decoded_body
from api.proxy.errors import ClientGone, ProxyRefusal
from api.proxy.forwarding.answer_cache import HEADER as CACHE_HEADER
from api.proxy.forwarding.answer_cache import AnswerCache, KeptAnswer
from api.proxy.forwarding.forwarding import Answer, Forwarding
from api.proxy.forwarding.upstream import UpstreamUnreachable
from api.proxy.headers import REQUEST_ID, client_headers, token_of
from api.proxy.lifecycle import State
from api.proxy.payment import Payment
from api.proxy.recording.recorder import Recorder
from api.proxy.reply_capture import ReplyCapture
from context_builder.conversation.rewriter import ProxiedRequest, Rewriter

_STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Proxy:
    """Forwards requests of Anthropic clients, and writes the upstream's bytes to them as they come."""

    senders: Senders
    rewriter: Rewriter
    forwarding: Forwarding
    recorder: Recorder
    cache: AnswerCache
    silence_s: float
    """How long a client may neither send nor read."""
    payment: Payment | None = None
    """What a request may cost; None: no cap is kept."""
    reads_text: bool = True
    """True if the rewriter wants the text of replies."""
    only_known: bool = False
    """True if only senders that the operator has named are served: requests are paid for by somebody else."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        call = Call.of(scope)
        scope.setdefault("state", {})[REQUEST_ID] = call.id
        client = ClientConnection(receive, send, silence_s=self.silence_s)
        self.recorder.begin()
        try:
            async with client.served():
                await self._serve(call, client)
            await self._learn(call)
        except ClientGone as gone:
            if not call.lifecycle.ended:
                call.lifecycle.enter(State.CLIENT_GONE, str(gone))
            if client.is_waiting:
                await _time_out(call, client)
        finally:
            if not call.lifecycle.ended:
                call.lifecycle.enter(State.PROXY_ERROR)
            self.recorder.note(call.record())

    async def _serve(self, call: Call, client: ClientConnection) -> None:
        async with AsyncExitStack() as responses:
            try:
                self._authenticate(call)
                if call.is_conversation:
                    await self._parse(call, client)
                streamed = client.parts() if call.has_body and not call.is_conversation else None
                if streamed is None and not call.is_conversation:
                    await client.read(0)
                keeps = self.cache.may_answer(call)
                if keeps and (kept := self.cache.find(call, self.forwarding.next_upstream(call))):
                    await _repeat(call, client, kept)
                    return
                if self.payment is not None:
                    await responses.enter_async_context(self.payment.of(call))
                answer = await self.forwarding.answer(call, streamed, responses)
            except ProxyRefusal as refusal:
                call.lifecycle.enter(State.REJECTED, str(refusal))
                await _refuse(call, client, refusal)
            except UpstreamUnreachable as error:
                call.lifecycle.enter(State.UPSTREAM_ERROR, str(error))
                status = HTTPStatus.GATEWAY_TIMEOUT if error.is_timeout else HTTPStatus.BAD_GATEWAY
                await _refuse(call, client, ProxyRefusal(status, str(error)))
            else:
                parts: list[bytes] | None = [] if keeps else None
                await self._relay(call, client, answer, parts)
                if parts is not None and _is_whole(call, answer):
                    self.cache.keep(call, answer.upstream, answer.response.raw_headers, b"".join(parts))

    def _authenticate(self, call: Call) -> None:
        """Recognize the sender. Raises ProxyRefusal for one who is not served."""
        call.sender = self.senders.sender_of(token_of(call.headers))
        if self.only_known and not call.sender.is_known:
            raise ProxyRefusal(401, "this proxy pays for its requests and does not know your key")
        if not call.is_local and not call.sender.is_known:
            raise ProxyRefusal(
                401,
                "this proxy serves other machines, and pages, only for keys that it knows, not yours",
            )
        call.lifecycle.enter(State.AUTHENTICATED, call.sender.user.id)

    async def _parse(self, call: Call, client: ClientConnection) -> None:
        """Read the body and decide what is changed in it. Raises ProxyRefusal."""
        call.raw_body = await client.read(MAX_BODY_BYTES)
        coding = call.headers.get("content-encoding", "").strip().lower()
        body = await decoded_body(call.raw_body, coding)
        call.lifecycle.enter(State.PARSED)
        if body is not None and call.sender is not None:
            asker = call.sender.user.id if call.sender.is_known else None
            call.request = ProxiedRequest(call.path, call.headers, body, call.sender.credential, asker)
            call.sent = await self.rewriter.rewrite(call.request)
        changes = call.sent.changes if call.sent else (f"cannot read {coding}",)
        call.lifecycle.enter(State.REWRITTEN, "; ".join(changes) or "nothing")

    async def _relay(
        self, call: Call, client: ClientConnection, answer: Answer, parts: list[bytes] | None
    ) -> None:
        """Write an answer to the client as it comes, into `parts` as well, and note what it says."""
        response = answer.response
        call.status = response.status
        call.upstream_request_id = response.headers.get("request-id")
        is_stream = answer.error_reply is None and response.content_type == _STREAM
        call.lifecycle.enter(State.STREAMING if is_stream else State.RESPONDING)
        capture = ReplyCapture(is_stream=is_stream, coding=answer.coding, reads_text=self.reads_text)
        call.reply = capture.reply
        reads = call.is_conversation
        await client.start(response.status, client_headers(response.raw_headers, call.id))
        try:
            async for part in answer.parts():
                await client.write(part)
                if call.first_byte_ms is None:
                    call.first_byte_ms = call.lifecycle.after_ms()
                if reads:
                    capture.feed(part)
                if parts is not None:
                    parts.append(part)
        except UpstreamUnreachable as error:
            # The server breaks the connection off, which is how the client learns of it.
            call.lifecycle.enter(State.TRUNCATED, str(error))
            return
        await client.end()
        if reads:
            capture.end()
        call.lifecycle.enter(*_outcome(call, is_stream=is_stream))

    async def _learn(self, call: Call) -> None:
        if call.lifecycle.state is State.COMPLETED and call.request and call.sent and call.reply.is_message:
            await self.rewriter.replied(call.request, call.sent, call.reply.text, call.reply.usage)


def _outcome(call: Call, *, is_stream: bool) -> tuple[State, str]:
    """Return how an answer that was relayed to its end has ended, and why."""
    reply, status = call.reply, call.status or 0
    if status >= HTTPStatus.BAD_REQUEST:
        return State.UPSTREAM_ERROR, f"status {status}"
    if is_stream and reply.error_type:
        return State.STREAM_ERROR, reply.error_type
    if not call.is_conversation or not reply.is_readable or not call.is_message or reply.is_complete:
        return State.COMPLETED, reply.stop_reason or ""
    if is_stream:
        return State.TRUNCATED, "no message_stop"
    return State.UPSTREAM_ERROR, "the answer is not a message"


def _is_whole(call: Call, answer: Answer) -> bool:
    """Return True if a complete message in one piece was relayed."""
    is_message = call.lifecycle.state is State.COMPLETED and call.reply.is_complete
    return is_message and answer.response.status == HTTPStatus.OK and answer.response.content_type != _STREAM


async def _repeat(call: Call, client: ClientConnection, kept: KeptAnswer) -> None:
    """Give an answer again, and say so; its tokens are not billed again, so there are none."""
    call.status = HTTPStatus.OK
    call.reply.model, call.reply.stop_reason = kept.model, kept.stop_reason
    headers = [*kept.headers, *_identity(call), (CACHE_HEADER.encode(), b"hit")]
    await client.answer(HTTPStatus.OK, [*headers, (b"cache-control", b"private, no-store")], kept.body)
    call.lifecycle.enter(State.CACHE_HIT)


def _identity(call: Call) -> list[tuple[bytes, bytes]]:
    return [(b"request-id", call.id.encode()), (REQUEST_ID.encode(), call.id.encode())]


async def _refuse(call: Call, client: ClientConnection, refusal: ProxyRefusal) -> None:
    call.status = refusal.status
    # What a client would ask again for: nothing of ours is over in a moment.
    final = [(b"x-should-retry", b"false")] if refusal.status == HTTPStatus.TOO_MANY_REQUESTS else []
    headers = [(b"content-type", b"application/json"), *final, *_identity(call)]
    if client.has_more:  # of a body that nobody reads any more
        headers.append((b"connection", b"close"))
    await client.answer(refusal.status, headers, refusal.body(call.id))


async def _time_out(call: Call, client: ClientConnection) -> None:
    """Tell a client that has stopped sending its request, and may still read."""
    with suppress(ClientGone):
        async with client.served():
            await _refuse(call, client, ProxyRefusal(408, "the rest of the request's body did not come"))
