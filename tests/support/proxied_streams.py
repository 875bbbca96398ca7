"""A stream of the Messages API with all that may be in one."""

from __future__ import annotations

from tests.loopback.raw_upstream import streamed
from tests.loopback.wire import event

USAGE = {
    "input_tokens": 7,
    "cache_read_input_tokens": 900,
    "cache_creation_input_tokens": 40,
    "output_tokens": 1,
}
START = event("message_start", message={"type": "message", "model": "claude-opus-5-5", "usage": USAGE})
DELTAS = [
    {"type": "text_delta", "text": "Grüße "},
    {"type": "text_delta", "text": "\N{PARTY POPPER}"},
    {"type": "input_json_delta", "partial_json": '{"a":'},
    {"type": "thinking_delta", "thinking": "hm"},
    {"type": "signature_delta", "signature": "c2ln"},
    {"type": "citations_delta", "citation": {"type": "char_location"}},
    {"type": "compaction_delta", "content": "shorter"},
    {"type": "new_kind_delta", "x": [1]},
]
"""Of every kind, and one that nobody knows."""
STREAM = (
    START
    + event("ping")
    + event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    + b"".join(event("content_block_delta", index=0, delta=delta) for delta in DELTAS)
    + event("content_block_stop", index=0)
    + event("content_block_start", index=1, content_block={"type": "fallback", "text": None})
    + event("content_block_stop", index=1)
    + b": a comment\n\nevent: new_kind\ndata: {not json\n\ndata: [1]\n\n"
    + event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 25})
    + event("message_stop")
)
HEAD, *_ = streamed()
"""Status and headers of a stream."""
