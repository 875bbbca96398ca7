"""One request of a client: what is known of it while it is served, and what is kept of it afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

import orjson
from multidict import CIMultiDict
from starlette.types import Scope

from api.access.peer import is_from_page, is_local_peer
from api.proxy.client.credentials import ProxyUser, Sender
from api.proxy.headers import decoded
from api.proxy.lifecycle import Lifecycle, State, Transition
from api.proxy.reply_capture import Reply
from api.proxy.rewriting.policy import HEADER, policy_in
from context_builder.conversation.rewriter import ProxiedRequest, Rewrite

MESSAGES = "/v1/messages"
COUNT_TOKENS = "/v1/messages/count_tokens"
UNKNOWN_MODEL = "unknown"
_SUCCEEDED = (State.COMPLETED, State.CACHE_HIT)


@dataclass(slots=True)
class Call:
    """What is known of a request."""

    id: str
    method: str
    path: str
    target: str
    """Path and query, encoded as the client had them."""
    headers: CIMultiDict[str]
    is_local: bool = True
    """True if a program on this machine made it, not a page in a browser."""
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    sender: Sender | None = None
    raw_body: bytes = b""
    """As it came; empty unless the request is of a conversation."""
    request: ProxiedRequest | None = None
    """The request as it may be rewritten; None: it is passed on as it is."""
    sent: Rewrite | None = None
    upstream: str | None = None
    """Name of the upstream that was asked last."""
    attempts: int = 0
    tried: set[str] = field(default_factory=set)
    """Names of the upstreams that were asked."""
    status: int | None = None
    """What the client was sent."""
    first_byte_ms: float | None = None
    upstream_request_id: str | None = None
    reply: Reply = field(default_factory=Reply)
    _model: str | None = None

    @classmethod
    def of(cls, scope: Scope) -> Call:
        """Return the call of an ASGI request."""
        raw_path = scope.get("raw_path") or scope["path"].encode()
        policy, length = policy_in(raw_path)
        path, raw_path, headers = scope["path"][length:], raw_path[length:], decoded(scope["headers"])
        if policy:
            headers.setdefault(HEADER, policy)
        if not raw_path.startswith(b"/"):  # it is put behind a host's name, which it must not lengthen
            raw_path = b"/" + raw_path
        query = scope["query_string"]
        target = (raw_path + b"?" + query if query else raw_path).decode("latin-1")
        # A page may be of any site, whatever its name is said to lead to.
        is_local = is_local_peer(scope) and not is_from_page(scope)
        return cls(f"req_{uuid4().hex}", scope["method"], path, target, headers, is_local)

    @property
    def is_conversation(self) -> bool:
        """Return True if the body is one that context may be added to."""
        return self.method == "POST" and self.path in (MESSAGES, COUNT_TOKENS)

    @property
    def is_message(self) -> bool:
        """Return True if a message is asked for, which is billed."""
        return self.method == "POST" and self.path == MESSAGES

    @property
    def has_body(self) -> bool:
        """Return True if the request says that it has a body."""
        return "content-length" in self.headers or "transfer-encoding" in self.headers

    def begin_attempt(self, upstream: str) -> None:
        """Take note that an upstream is asked."""
        self.upstream, self.attempts = upstream, self.attempts + 1
        self.tried.add(upstream)
        self.lifecycle.enter(State.FORWARDING, upstream)

    def record(self) -> CallRecord:
        """Return what is kept of the request, now that it has ended: nothing of its credential and bodies."""
        last = self.lifecycle.transitions[-1]
        sent = self.sent or Rewrite(b"")
        return CallRecord(
            id=self.id,
            received_at=self.lifecycle.received_at,
            is_message=self.is_message,
            user=self.sender.user if self.sender else None,
            model=self.reply.model or self.requested_model,
            model_is_confirmed=self.reply.model is not None,
            upstream=self.upstream,
            attempts=self.attempts,
            status=self.status,
            state=last.state,
            transitions=tuple(self.lifecycle.transitions),
            latency_ms=last.after_ms,
            first_byte_ms=self.first_byte_ms,
            usage=self.reply.usage,
            stop_reason=self.reply.stop_reason,
            error=self.reply.error_type or (None if last.state in _SUCCEEDED else last.state.value),
            error_message=self.reply.error_message or last.detail,
            upstream_request_id=self.upstream_request_id,
            conversation=sent.conversation,
            turn=sent.turn,
            changes=sent.changes,
        )

    @property
    def requested_model(self) -> str:
        """Return the model that was asked for; it is looked for once, where it is needed."""
        if self._model is None:
            self._model = self._find_model()
        return self._model

    def _find_model(self) -> str:
        try:
            document = orjson.loads(self.request.body) if self.request else None
        except orjson.JSONDecodeError:
            return UNKNOWN_MODEL
        model = document.get("model") if isinstance(document, dict) else None
        return model if isinstance(model, str) and model else UNKNOWN_MODEL


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """What is kept of a request."""

    id: str
    received_at: datetime
    is_message: bool
    """True for a request for a message, which is billed and logged; others are only counted."""
    user: ProxyUser | None
    """None: it ended before its sender was known."""
    model: str
    """That of the reply, or the one asked for."""
    model_is_confirmed: bool
    """True if a reply named it."""
    upstream: str | None
    """None: it was never forwarded."""
    attempts: int
    status: int | None
    state: State
    transitions: tuple[Transition, ...]
    latency_ms: float
    first_byte_ms: float | None
    """From the request to the first byte of the answer's body."""
    usage: Mapping[str, int]
    """Tokens by the API's names."""
    stop_reason: str | None
    error: str | None
    """The API's type of the error, or how the request ended; None if it was answered."""
    error_message: str
    upstream_request_id: str | None
    conversation: str | None
    turn: str | None
    changes: tuple[str, ...]
