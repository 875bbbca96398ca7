"""An upstream that records every byte, checks the prefix rule, and tells what its prompt cache did.

Its model thinks, calls tools where it is told to, and answers in a sentence; each is a function of the
request. `answer` is all of it without a network; as a server it listens on 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.loopback.prefix_cache import PrefixCache, tokens_of
from tests.loopback.prefix_rule import Prefix, blocks_of, check_conversation, checked_thinking
from tests.loopback.wire import ApiError, error_body, event

Blocks = list[dict[str, Any]]


def says(body: Mapping[str, Any]) -> Blocks:
    """The reply where no other is given: one sentence that differs from turn to turn."""
    return [{"type": "text", "text": f"Reply number {len(body['messages'])}."}]


@dataclass(frozen=True)
class Seen:
    """One request, as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    usage: Mapping[str, int] = field(default_factory=dict)

    @property
    def json(self) -> dict[str, Any]:
        """The decoded body."""
        decoded: dict[str, Any] = json.loads(self.body)
        return decoded


class RecordingUpstream:
    """Answers requests and keeps them."""

    def __init__(self, *, window: int = 10**9, minimum: int = 1024) -> None:
        """Refuse what is longer than `window` tokens; cache from `minimum` tokens on."""
        self.window = window
        self.cache = PrefixCache(minimum)
        self.reply: Callable[[Mapping[str, Any]], Blocks] = says
        self.thinks = True
        self.seen: list[Seen] = []

    def answer(self, path: str, headers: Mapping[str, str], raw: bytes) -> tuple[int, dict[str, Any]]:
        """Status and body for one request, which is kept."""
        try:
            plain = gzip.decompress(raw) if headers.get("content-encoding") == "gzip" else raw
            body = json.loads(plain)
            check_conversation(body)
            model_sees = checked_thinking(body, headers.get("anthropic-beta", ""))
            total = self._counted(body, model_sees)
        except (ApiError, ValueError, KeyError, TypeError) as error:
            self.seen.append(Seen(path, headers, raw))
            status = error.status if isinstance(error, ApiError) else 400
            return status, error_body(status, str(error), "req_recorded")
        if path.endswith("/count_tokens"):
            self.seen.append(Seen(path, headers, raw))
            return 200, {"input_tokens": total}
        usage = self.cache.usage(body) | {"output_tokens": 20}
        self.seen.append(Seen(path, headers, raw, usage))
        return 200, self._message(body, usage)

    def _counted(self, body: Mapping[str, Any], messages: list[Mapping[str, Any]]) -> int:
        """The tokens of a prompt; raises ApiError where they are too many."""
        blocks = [block for message in messages for block in blocks_of(message["content"])]
        total = sum(map(tokens_of, [*body.get("tools", []), *blocks_of(body.get("system", "")), *blocks]))
        if total > self.window:
            raise ApiError(400, f"prompt is too long: {total} tokens > {self.window} maximum")
        return total

    def _message(self, body: Mapping[str, Any], usage: Mapping[str, int]) -> dict[str, Any]:
        content = self.reply(body)
        if self.thinks and body.get("thinking"):
            prefix = Prefix(body)
            for message in body["messages"]:
                prefix.add(message)
            content = [prefix.sign(f"Thinking about {len(body['messages'])} messages."), *content]
        calls = any(block["type"] == "tool_use" for block in content)
        return {
            "id": f"msg_{len(self.seen):024d}", "type": "message", "role": "assistant",
            "model": body.get("model"), "content": content,
            "stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None, "usage": dict(usage),
        }  # fmt: skip


class RecordingServer:
    """The same behind a socket of this machine: `with RecordingServer() as server: server.url`."""

    def __init__(self, upstream: RecordingUpstream | None = None) -> None:
        """Bind a free port, and do not serve yet."""
        self.upstream = upstream or RecordingUpstream()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        app = Starlette(routes=[Route("/{path:path}", self._serve, methods=["POST"])])
        config = uvicorn.Config(
            app, log_config=None, log_level="critical", lifespan="off", http="h11", ws="none"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()

    async def _serve(self, request: Request) -> Response:
        raw = await request.body()
        status, answer = await asyncio.to_thread(
            self.upstream.answer, request.url.path, dict(request.headers), raw
        )
        if status != 200 or not self.upstream.seen[-1].usage or not self._wants_stream():
            return JSONResponse(answer, status, {"request-id": "req_recorded"})
        return StreamingResponse(iter(_events(answer)), media_type="text/event-stream")

    def _wants_stream(self) -> bool:
        seen = self.upstream.seen[-1]
        return bool(seen.headers.get("content-encoding") is None and seen.json.get("stream"))


_DELTAS = {"text": ("text_delta", "text"), "thinking": ("thinking_delta", "thinking")}


def _events(message: Mapping[str, Any]) -> list[bytes]:
    """A message as server-sent events."""
    events = [event("message_start", message={**message, "content": [], "stop_reason": None})]
    for index, block in enumerate(message["content"]):
        kind = block["type"]
        delta_type, key = _DELTAS.get(kind, ("input_json_delta", "input"))
        empty = {**block, key: {} if kind == "tool_use" else ""} | (
            {"signature": ""} if "signature" in block else {}
        )
        events.append(event("content_block_start", index=index, content_block=empty))
        said = json.dumps(block[key]) if kind == "tool_use" else block[key]
        name = "partial_json" if kind == "tool_use" else key
        events.append(event("content_block_delta", index=index, delta={"type": delta_type, name: said}))
        if "signature" in block:
            signed = {"type": "signature_delta", "signature": block["signature"]}
            events.append(event("content_block_delta", index=index, delta=signed))
        events.append(event("content_block_stop", index=index))
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    events.append(event("message_delta", delta=delta, usage={"output_tokens": 20}))
    return [*events, event("message_stop")]
