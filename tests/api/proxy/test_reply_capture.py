"""What is read of a reply does not depend on how it came."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence

from api.proxy.reply_capture import ReplyCapture
from tests.support.proxied_streams import STREAM, USAGE


def captured(parts: Sequence[bytes], coding: str = "") -> ReplyCapture:
    capture = ReplyCapture(is_stream=True, coding=coding)
    for part in parts:
        capture.feed(part)
    capture.end()
    return capture


def test_capture_does_not_depend_on_where_a_stream_is_split() -> None:
    """At every byte, amid characters and events, and with each byte alone (C6)."""
    expected = captured([STREAM]).reply
    assert expected.text == "Grüße \N{PARTY POPPER}"
    assert expected.usage == USAGE | {"output_tokens": 25}
    assert (expected.model, expected.stop_reason, expected.is_complete) == (
        "claude-opus-5-5",
        "end_turn",
        True,
    )
    for place in range(len(STREAM)):
        assert captured([STREAM[:place], STREAM[place:]]).reply == expected
    assert captured([bytes([byte]) for byte in STREAM]).reply == expected
    assert captured([STREAM.replace(b"\n", b"\r\n")]).reply == expected


def test_capture_reads_what_is_compressed() -> None:
    """In any parts; what is broken, or of another coding, is left out without an error (C10)."""
    packed = gzip.compress(STREAM)
    assert captured([packed[:50], packed[50:]], "gzip").reply == captured([STREAM]).reply
    assert not captured([b"\x1f\x8b broken"], "gzip").reply.is_readable
    assert not captured([STREAM], "br").reply.is_readable


def test_capture_of_a_message_in_one_piece_is_that_of_its_stream() -> None:
    """Text, usage, model and stop reason (C6)."""
    content = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Grüße \N{PARTY POPPER}"}]
    message = {
        "type": "message", "model": "claude-opus-5-5", "content": content, "stop_reason": "end_turn",
        "usage": USAGE | {"output_tokens": 25},
    }  # fmt: skip
    capture = ReplyCapture(is_stream=False)
    capture.feed(json.dumps(message).encode())
    streamed_reply = captured([STREAM]).reply
    assert (capture.end().text, capture.reply.usage) == (streamed_reply.text, streamed_reply.usage)
    assert (capture.reply.model, capture.reply.stop_reason) == (
        streamed_reply.model,
        streamed_reply.stop_reason,
    )
