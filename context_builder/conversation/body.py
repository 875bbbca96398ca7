"""A client's request body: what it says, and where in its bytes. Pure.

The bytes are the client's and stay so: number formats, escapes, spacing and order of keys are parts of cache
keys. What is changed is spliced in or out at the places found here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import msgspec
import numpy as np
import orjson

Block = Mapping[str, Any]

THINKING = frozenset({"thinking", "redacted_thinking"})


_GAP = re.compile(rb"[ \t\n\r,]*")
"""Between two messages; asking where each lies in memory takes ten times as long."""


class Span(NamedTuple):
    """A half-open range of the bytes of a body."""

    start: int
    end: int


class _Envelope(msgspec.Struct):
    messages: list[msgspec.Raw]


class _Contents(msgspec.Struct):
    content: msgspec.Raw


class Message(NamedTuple):
    """One message; a tuple, since every request makes hundreds."""

    role: str
    blocks: Sequence[Block]
    """A string as content is one block of text."""
    is_string: bool
    span: Span

    @property
    def kinds(self) -> frozenset[str]:
        """The types of its blocks."""
        return frozenset(str(block.get("type")) for block in self.blocks)

    @property
    def text(self) -> str:
        """The text of its blocks of text, one per line."""
        return "\n".join(str(b.get("text", "")) for b in self.blocks if b.get("type") == "text")


@dataclass(frozen=True)
class Conversation:
    """A body that could be read."""

    body: bytes
    fields: Mapping[str, Any]
    """The fields of the body, decoded."""
    messages: Sequence[Message]

    @property
    def model(self) -> str:
        """The model that is asked for; empty if that is not text."""
        model = self.fields.get("model")
        return model if isinstance(model, str) else ""

    @cached_property
    def _address(self) -> int:
        return _address(self.body)

    def content_span(self, index: int) -> Span:
        """Return the place of the content of a message, its quotes or brackets included."""
        return self._span(msgspec.json.decode(self._raw(index), type=_Contents).content)

    def block_spans(self, index: int) -> list[Span]:
        """Return the place of each block of a message whose content is a list."""
        content = msgspec.json.decode(self._raw(index), type=_Contents).content
        return [self._span(raw) for raw in msgspec.json.decode(content, type=list[msgspec.Raw])]

    def _raw(self, index: int) -> memoryview:
        start, end = self.messages[index].span
        return memoryview(self.body)[start:end]

    def _span(self, raw: msgspec.Raw) -> Span:
        start = _address(raw) - self._address
        return Span(start, start + len(memoryview(raw)))


def parse(body: bytes) -> Conversation | None:
    """Read a body; None if it is not one that may be changed: no JSON, or no conversation as we know it."""
    try:
        fields = orjson.loads(body)
        spans = msgspec.json.decode(body, type=_Envelope).messages
    except (orjson.JSONDecodeError, msgspec.MsgspecError, RecursionError):
        return None
    messages: list[Message] = []
    end = 0
    for message, raw in zip(fields["messages"], spans, strict=True):
        start = _next(body, end) if messages else _address(raw) - _address(body)
        end = start + memoryview(raw).nbytes
        read = _message(message, Span(start, end))
        if read is None:
            return None
        messages.append(read)
    return Conversation(body, fields, messages) if messages else None


def _next(body: bytes, end: int) -> int:
    """Return where the message after one that ends there begins."""
    if body[end : end + 2] == b",{":
        return end + 1
    gap = _GAP.match(body, end)
    return gap.end() if gap else end


def _message(message: Any, span: Span) -> Message | None:
    if not isinstance(message, dict):
        return None
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str):
        return None
    if isinstance(content, str):
        return Message(role, [{"type": "text", "text": content}], is_string=True, span=span)
    if not isinstance(content, list):
        return None
    for block in content:  # a generator would take as long as all the rest here
        if not isinstance(block, dict):
            return None
    return Message(role, content, is_string=False, span=span)


def _address(buffer: bytes | msgspec.Raw) -> int:
    """Return where a buffer lies in memory: decoded parts are views of the body."""
    address: int = np.frombuffer(buffer, np.uint8).__array_interface__["data"][0]
    return address


class Edit(NamedTuple):
    """A range of bytes to replace; of an empty one, an insertion."""

    start: int
    end: int
    by: bytes


def splice(body: bytes, edits: Sequence[Edit]) -> bytes:
    """Return a body with disjoint edits made; edits at the same place come in the order given."""
    parts, done = [], 0
    for edit in sorted(edits, key=lambda edit: edit.start):
        parts += [body[done : edit.start], edit.by]
        done = edit.end
    return b"".join([*parts, body[done:]])


def text_block(text: str) -> bytes:
    """Return a block of text as JSON; equal texts give equal bytes."""
    return b'{"type":"text","text":' + json.dumps(text).encode() + b"}"


def append_text(conversation: Conversation, index: int, texts: Sequence[str]) -> list[Edit]:
    """Return the edits that put blocks of text at the end of a message; each is an insertion."""
    added = b"".join(b"," + text_block(text) for text in texts)
    start, end = conversation.content_span(index)
    if not conversation.messages[index].is_string:
        return [Edit(end - 1, end - 1, added)]
    return [Edit(start, start, b'[{"type":"text","text":'), Edit(end, end, b"}" + added + b"]")]
