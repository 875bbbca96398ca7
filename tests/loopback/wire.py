"""The Messages API's wire format: what it accepts, and the JSON and the events that it sends."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.loopback.behaviour import Body, Reply

MODELS = ("claude-fable-5-1", "claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5")
ERROR_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 500: "api_error",
    529: "overloaded_error",
}  # fmt: skip
ERROR_MESSAGES = {
    401: "invalid x-api-key", 403: "Your API key does not have permission to use the specified resource.",
    413: "Request exceeds the maximum size", 429: "This request would exceed your rate limit.",
    500: "Internal server error", 529: "Overloaded",
}  # fmt: skip

_FIELDS = {
    "model", "max_tokens", "messages", "system", "stream", "tools", "tool_choice", "metadata",
    "stop_sequences", "thinking", "service_tier", "cache_control", "container", "output_config",
    "inference_geo", "speed",
}  # fmt: skip
_SAMPLING = ("temperature", "top_p", "top_k")
_MAX_BREAKPOINTS = 4
_CACHE_MINIMUM = {"claude-fable-5-1": 512, "claude-opus-5-5": 512, "claude-sonnet-5-5": 1024}
_OTHER_CACHE_MINIMUM = 4096
_FRAMING = 9
_FACT = re.compile(r"^\[([A-Z]{1,4}[1-9][0-9]*)\]\s*(.+)$", re.MULTILINE)
_CITED = 3
_TOKEN = re.compile(r"[A-Za-z]{1,6}|[0-9]{1,3}|\n+|[^\sA-Za-z0-9]")
"""Coarser than real tokenizers on ids, about right on prose: a bound of the real ones bounds this one."""


class ApiError(Exception):
    """A refusal, as status and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def tokens(text: str) -> int:
    return len(_TOKEN.findall(text))


def cite_facts(body: Body) -> str:
    """An answer from the prompt itself: its first facts, each with its reference."""
    facts = _FACT.findall(_text(body["messages"][-1]["content"]))
    if not facts:
        return "The facts do not answer the question."
    return "\n".join(f"- {text.strip()} [{ref}]" for ref, text in facts[:_CITED])


def model_info(name: str) -> dict[str, Any]:
    """A model as the list of models describes it."""
    return {
        "type": "model", "id": name, "display_name": name.title(), "created_at": "2026-01-01T00:00:00Z",
        "lifecycle": "active", "max_input_tokens": 200_000, "max_tokens": 64_000,
    }  # fmt: skip


def checked(body: Any, *, counting: bool = False) -> dict[str, Any]:
    """The body, unless the API would refuse it; raises ApiError."""
    if not isinstance(body, dict):
        raise ApiError(400, "Input should be a valid dictionary")
    for name in _SAMPLING:
        if name in body:
            raise ApiError(400, f"{name}: this parameter is not accepted by this API version")
    for name in body:
        if name not in _FIELDS:
            raise ApiError(400, f"{name}: Extra inputs are not permitted")
    for name in ("model", "messages") if counting else ("model", "max_tokens", "messages"):
        if name not in body:
            raise ApiError(400, f"{name}: Field required")
    if not counting and (type(body["max_tokens"]) is not int or body["max_tokens"] < 1):
        raise ApiError(400, "max_tokens: Input should be an integer greater than or equal to 1")
    _check_model(body["model"])
    _check_messages(body["messages"])
    _check_system(body.get("system", ""))
    _check_breakpoints(body)
    return body


def _check_model(model: Any) -> None:
    if not isinstance(model, str):
        raise ApiError(400, "model: Input should be a valid string")
    if re.sub(r"-\d{8}$", "", model) not in MODELS:
        raise ApiError(404, f"model: {model}")


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise ApiError(400, "messages: at least one message is required")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ("user", "assistant"):
            raise ApiError(400, f"messages.{index}.role: Input should be 'user' or 'assistant'")
        content = message.get("content")
        parts = [[block] for block in content] if isinstance(content, list) and content else [content]
        if not all(_text(part).strip() for part in parts):
            raise ApiError(400, f"messages.{index}: text content must be non-empty")
    if messages[-1]["role"] != "user":
        raise ApiError(400, "This model does not support assistant message prefill.")


def _check_system(system: Any) -> None:
    blocks = system if isinstance(system, list) else []
    if not isinstance(system, str | list) or any(not _text([block]).strip() for block in blocks):
        raise ApiError(400, "system: Input should be a string or non-empty text blocks")


def _check_breakpoints(body: Body) -> None:
    marked = sum("cache_control" in block for block in _blocks(body))
    if marked > _MAX_BREAKPOINTS:
        raise ApiError(400, f"A maximum of 4 blocks with cache_control may be provided. Found {marked}.")


def _blocks(body: Body) -> list[Mapping[str, Any]]:
    """All blocks of a prompt in their order: the system text's, then those of the messages."""
    contents = [body.get("system", ""), *(message["content"] for message in body["messages"])]
    return [
        block
        for content in contents
        for block in (content if isinstance(content, list) else [{"type": "text", "text": content}])
    ]


def _text(content: Any) -> str:
    """All text of a content field, whether it is a string or a list of blocks."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "".join(str(block.get("text", "")) for block in blocks if isinstance(block, dict))


def input_tokens(body: Body) -> int:
    texts = [_text(body.get("system", "")), *(_text(message["content"]) for message in body["messages"])]
    return _FRAMING + sum(map(tokens, texts))


@dataclass
class PromptCache:
    """Prefixes that were marked for caching; too short ones are silently not cached, as at the API."""

    seen: set[tuple[str, str]] = field(default_factory=set)

    def usage(self, body: Body) -> dict[str, int]:
        """The input side of the usage object of one request."""
        total, model = input_tokens(body), str(body["model"])
        blocks = _blocks(body)
        end = max((n for n, block in enumerate(blocks, start=1) if "cache_control" in block), default=0)
        texts = [_text([block]) for block in blocks[:end]]
        cached = sum(map(tokens, texts))
        read = written = 0
        if cached >= _CACHE_MINIMUM.get(model, _OTHER_CACHE_MINIMUM):
            key = (model, "\0".join(texts))
            read, written = (cached, 0) if key in self.seen else (0, cached)
            self.seen.add(key)
        return {
            "input_tokens": total - read - written,
            "cache_creation_input_tokens": written,
            "cache_read_input_tokens": read,
        }


@dataclass(frozen=True)
class Message:
    """One reply, worked out: what is sent whole or in pieces."""

    id: str
    model: str
    text: str
    thinking: str
    stop_reason: str
    usage: Mapping[str, int]
    piece_length: int

    @classmethod
    def of(cls, id: str, reply: Reply, body: Body, cache: PromptCache) -> Message:  # noqa: A002 - the API's field
        said = reply.text
        text = cite_facts(body) if said is None else said if isinstance(said, str) else said(body)
        whole = tokens(text) + tokens(reply.thinking)
        fits = whole <= body["max_tokens"]
        if not fits:
            text = text[: math.floor(len(text) * body["max_tokens"] / whole)]
        usage = cache.usage(body) | {"output_tokens": min(max(whole, 1), body["max_tokens"])}
        return cls(
            id=id,
            model=reply.model or str(body["model"]),
            text=text,
            thinking=reply.thinking,
            stop_reason=reply.stop_reason or ("end_turn" if fits else "max_tokens"),
            usage=usage | dict(reply.usage or {}),
            piece_length=reply.piece_length,
        )

    @property
    def blocks(self) -> list[tuple[str, str]]:
        """Kind and text of each content block; without text there is none, as in a refusal."""
        return [(kind, text) for kind, text in (("thinking", self.thinking), ("text", self.text)) if text]

    def to_json(self) -> dict[str, Any]:
        """The message as one response without streaming has it."""
        return self._envelope() | {
            "content": [
                {"type": kind, kind: text} | ({"signature": "c2ln"} if kind == "thinking" else {})
                for kind, text in self.blocks
            ],
            "stop_reason": self.stop_reason,
        }

    def opening(self) -> bytes:
        usage = dict(self.usage) | {"output_tokens": 1}
        return event("message_start", message=self._envelope() | {"usage": usage})

    def content(self) -> Iterator[tuple[bytes, bool]]:
        """Events of all blocks, each with whether it is a piece of the text."""
        for index, (kind, text) in enumerate(self.blocks):
            block = {"type": kind, kind: ""} | ({"signature": ""} if kind == "thinking" else {})
            yield event("content_block_start", index=index, content_block=block), False
            yield event("ping"), False
            for start in range(0, len(text), self.piece_length):
                delta = {"type": f"{kind}_delta", kind: text[start : start + self.piece_length]}
                yield event("content_block_delta", index=index, delta=delta), kind == "text"
            yield event("content_block_stop", index=index), False

    def closing(self) -> bytes:
        delta = {"stop_reason": self.stop_reason, "stop_sequence": None}
        usage = {"output_tokens": self.usage["output_tokens"]}
        return event("message_delta", delta=delta, usage=usage) + event("message_stop")

    def _envelope(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": dict(self.usage) | {"service_tier": "standard"},
        }


def event(kind: str, **fields: Any) -> bytes:
    """One server-sent event."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | fields)}\n\n".encode()


def error_body(status: int, message: str | None, request_id: str, kind: str | None = None) -> dict[str, Any]:
    """The JSON body of a refusal."""
    error = {
        "type": kind or ERROR_TYPES.get(status, "api_error"),
        "message": message or ERROR_MESSAGES.get(status, "Error"),
    }
    return {"type": "error", "error": error, "request_id": request_id}
