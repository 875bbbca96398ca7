"""What a reply says of itself, read from a copy of its bytes: usage, stop reason, text, errors.

The client's bytes do not depend on it: what cannot be read is left out.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from context_builder.llm.usage import Usage

_MAX_KEPT_BYTES = 32 * 2**20
"""Of a reply in one piece, of one line of a stream, and of what a compressed part expands to."""
_READABLE = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})
_BLOCKS = (b'data: {"type":"content_block_', b'data: {"type": "content_block_')
"""How the events of a reply's content begin, as the API writes them; they are most of a stream."""
_USAGE = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


def usage_of(tokens: Mapping[str, int]) -> Usage:
    """Return what was billed, from token counts by the API's names."""
    return Usage(
        input_tokens=tokens.get("input_tokens", 0),
        output_tokens=tokens.get("output_tokens", 0),
        cache_read_tokens=tokens.get("cache_read_input_tokens", 0),
        cache_write_tokens=tokens.get("cache_creation_input_tokens", 0),
    )


@dataclass(slots=True)
class Reply:
    """What is known of a reply so far."""

    model: str | None = None
    usage: dict[str, int] = field(default_factory=dict)
    """Token counts by the API's names; those of a stream are cumulative, so the last ones count."""
    stop_reason: str | None = None
    texts: list[str] = field(default_factory=list)
    error_type: str | None = None
    error_message: str | None = None
    error_code: str | None = None
    is_message: bool = False
    """True if a message has begun."""
    is_complete: bool = False
    """True if the message has ended; one in one piece always has."""
    is_readable: bool = True
    """False if the content coding or the length keeps it from being read."""

    @property
    def text(self) -> str:
        """Return the text of all text blocks."""
        return "".join(self.texts)

    def take(self, document: Mapping[str, Any]) -> None:
        """Take note of an event of a stream, of a message in one piece, or of an error body."""
        match document.get("type"):
            case "message_start":
                self._begin(_mapping(document, "message"))
            case "message":
                self._begin(document)
                self.is_complete = True
                for block in _list(document, "content"):
                    self._add(block)
            case "content_block_start":
                self._add(document.get("content_block"))
            case "content_block_delta":
                self._add(document.get("delta"))
            case "message_delta":
                self._count(_mapping(document, "usage"))
                self._stop(_mapping(document, "delta"))
            case "message_stop":
                self.is_complete = True
            case "error":
                error = _mapping(document, "error")
                self.error_type = _text(error.get("type")) or "error"
                self.error_message = _text(error.get("message"))
                self.error_code = _text(_mapping(error, "details").get("error_code"))

    def _begin(self, message: Mapping[str, Any]) -> None:
        self.is_message = True
        self.model = _text(message.get("model"))
        self._count(_mapping(message, "usage"))
        self._stop(message)

    def _stop(self, source: Mapping[str, Any]) -> None:
        self.stop_reason = _text(source.get("stop_reason")) or self.stop_reason

    def _count(self, usage: Mapping[str, Any]) -> None:
        # A bool is an int as well.
        self.usage |= {name: usage[name] for name in _USAGE if type(usage.get(name)) is int}

    def _add(self, block: object) -> None:
        if isinstance(block, dict) and block.get("type") in ("text", "text_delta"):
            text = block.get("text")
            if isinstance(text, str) and text:
                self.texts.append(text)


class ReplyCapture:
    """Reads a copy of a reply's body, part by part as it passes."""

    def __init__(self, *, is_stream: bool, coding: str = "", reads_text: bool = True) -> None:
        """Read events if `is_stream`, else one document; `coding` is the content coding of the body.

        Without `reads_text` the text of a stream may be left out, which saves most of the work.
        """
        self.reply = Reply(is_readable=coding in _READABLE)
        self._is_stream = is_stream
        self._skipped = () if reads_text else _BLOCKS
        # 32 more than the window: zlib and gzip are told apart by their first bytes.
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32) if coding not in ("", "identity") else None
        self._rest = bytearray()

    def feed(self, part: bytes) -> None:
        """Take note of a part of the body."""
        if not self.reply.is_readable:
            return
        if self._inflate is not None:
            part = self._inflated(part)
        if self._is_stream and b"\n" in part:
            *lines, rest = (bytes(self._rest) + part).split(b"\n")
            self._rest = bytearray(rest)
            for line in lines:
                self._take_line(line)
        else:
            self._rest += part
        if len(self._rest) > _MAX_KEPT_BYTES:
            self._give_up()

    @property
    def content(self) -> bytes:
        """Return a body in one piece, decoded, as far as it has been fed and can be read."""
        return bytes(self._rest)

    def end(self) -> Reply:
        """Return what the whole body said."""
        if self._is_stream:
            self._take_line(bytes(self._rest))
        else:
            self._take(bytes(self._rest))
        self._rest.clear()
        return self.reply

    def _inflated(self, part: bytes) -> bytes:
        assert self._inflate is not None  # noqa: S101  for the type checker
        try:
            inflated = self._inflate.decompress(part, _MAX_KEPT_BYTES)
        except zlib.error:
            self._give_up()
            return b""
        if self._inflate.unconsumed_tail:
            self._give_up()
        return inflated

    def _take_line(self, line: bytes) -> None:
        # Events of the API have their document on one line, with its type in it.
        if line.startswith(b"data:") and not line.startswith(self._skipped):
            self._take(line[5:])

    def _take(self, document: bytes) -> None:
        try:
            parsed = orjson.loads(document)
        except orjson.JSONDecodeError:
            return
        if isinstance(parsed, dict):
            self.reply.take(parsed)

    def _give_up(self) -> None:
        self.reply.is_readable = False
        self._rest.clear()


def _mapping(source: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = source.get(name)
    return value if isinstance(value, dict) else {}


def _list(source: Mapping[str, Any], name: str) -> list[Any]:
    value = source.get(name)
    return value if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
