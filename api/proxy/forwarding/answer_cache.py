"""Answers that are given again to the very same request of the same sender; off unless a size is set."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from api.proxy.call import Call
from api.proxy.forwarding.upstream import Upstream
from api.proxy.headers import CREDENTIALS, OWN_PREFIX, RawHeaders

HEADER = f"{OWN_PREFIX}cache"
"""Of a request: `off` asks the upstream in any case. Of an answer: `hit` says that it was given before."""
TTL_S = 3600.0
"""How long an answer is given again."""
_ENTRY_BYTES = 2048
"""What an entry takes beside its body, about."""
_KEPT_HEADERS = (b"content-type", b"content-encoding")
"""Others are of the first request: its id, its limits."""
_NEVER_WITH = ("stream", "tools", "mcp_servers", "container", "thread")
"""Fields of requests whose answers are not kept, if they are set: they act, or depend on the API's state."""
_UNKEYED = frozenset({*CREDENTIALS, "user-agent", "content-encoding", "content-type", "accept"})
"""Headers that do not change an answer; the credential is in the key as its digest."""
_UNKEYED_PREFIXES = (OWN_PREFIX, "x-stainless-")


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """A complete answer to a request."""

    headers: list[tuple[bytes, bytes]]
    body: bytes
    model: str | None
    stop_reason: str | None


class AnswerCache:
    """The answers of one process: exact matches only, the least recently used dropped first."""

    def __init__(self, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Keep at most `max_bytes`; with 0 nothing is kept or looked for."""
        self._max_bytes = max_bytes
        self._clock = clock
        self._entries: OrderedDict[bytes, tuple[float, KeptAnswer]] = OrderedDict()
        self.bytes = 0
        """What the entries take, about."""

    def may_answer(self, call: Call) -> bool:
        """Return True if the answer to a call may be kept, and may be one that was."""
        if not self._max_bytes or not call.is_message or call.request is None or call.sent is None:
            return False
        if call.headers.get(HEADER, "").strip().lower() == "off" or b'"temperature"' not in call.sent.body:
            return False
        try:
            document = orjson.loads(call.sent.body)
        except orjson.JSONDecodeError:
            return False
        if not isinstance(document, dict) or any(document.get(name) for name in _NEVER_WITH):
            return False
        temperature = document.get("temperature")
        return type(temperature) in (int, float) and temperature == 0

    def find(self, call: Call, upstream: Upstream) -> KeptAnswer | None:
        """Return the answer that the upstream gave to the very same request, if it is recent."""
        key = _key(call, upstream)
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] <= self._clock():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry[1]

    def keep(self, call: Call, upstream: Upstream, headers: RawHeaders, body: bytes) -> None:
        """Keep the complete answer to a call, unless it alone is too large."""
        if len(body) + _ENTRY_BYTES > self._max_bytes:
            return
        kept = [(name.lower(), value) for name, value in headers if name.lower() in _KEPT_HEADERS]
        key = _key(call, upstream)
        self._drop(key)
        answer = KeptAnswer(kept, body, call.reply.model, call.reply.stop_reason)
        self._entries[key] = (self._clock() + TTL_S, answer)
        self.bytes += len(body) + _ENTRY_BYTES
        while self.bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: bytes) -> None:
        if entry := self._entries.pop(key, None):
            self.bytes -= len(entry[1].body) + _ENTRY_BYTES


def _key(call: Call, upstream: Upstream) -> bytes:
    """Return a digest of what an answer depends on: sender, upstream, path, version, betas, body as sent."""
    assert call.sender is not None and call.sent is not None  # noqa: PT018, S101  for the type checker
    lines = sorted(
        f"{name}:{value}"
        for name, value in (*call.headers.items(), *call.sent.headers.items())
        if name not in _UNKEYED and not name.startswith(_UNKEYED_PREFIXES)
    )
    parts = [call.sender.credential, upstream.name, upstream.url, call.target, *lines]
    digest = hashlib.sha256()
    for part in (*(each.encode(errors="surrogatepass") for each in parts), call.sent.body):
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.digest()
