"""How many tokens a model's window has room for, and about how many a conversation takes. Pure."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from context_builder.conversation.body import Conversation, Message

USABLE = 0.9
"""Share of a window that a request may fill: 180,000 tokens of 200,000."""
BYTES_PER_TOKEN = 3.0
"""Of a message's JSON until bills say otherwise; prose has about 4, code and identifiers fewer."""
IMAGE_TOKENS = 1_600
"""Of an image of the usual size, however long its data."""
BYTES_PER_DOCUMENT_TOKEN = 20
"""Of a document's data: a page of 50 KB counts some 2,500 tokens."""
MIN_RATIO, MAX_RATIO = 0.5, 2.0
"""Limits of what bills may correct an estimate by."""
_WEIGHT = 0.3
"""Of the newest bill in the ratio."""

_TABLE = tomllib.loads(Path(__file__).with_name("windows.toml").read_text("utf-8"))
_WINDOWS: dict[str, int] = _TABLE["windows"]
DEFAULT_WINDOW = 200_000
API_EDITING_BETA = "context-management-2025-06-27"
API_TRIGGER, API_CLEARED = 0.9, 0.3
"""Shares of the room: where the API begins to clear, and how much at least, since each time costs a cache."""


def window_of(model: str) -> int:
    """Return the window of a model in tokens, by the longest listed name that its name begins with."""
    names = [name for name in _WINDOWS if model.startswith(name)]
    return _WINDOWS[max(names, key=len)] if names else DEFAULT_WINDOW


@dataclass
class Windows:
    """The room in the windows of models, corrected by what the API billed and refused."""

    _windows: dict[str, int] = field(default_factory=dict)
    _ratios: dict[str, float] = field(default_factory=dict)

    def room(self, conversation: Conversation) -> int:
        """Return how many tokens a request may have, its system text and tools included."""
        asked = conversation.fields.get("max_tokens")
        window = self._windows.get(conversation.model) or window_of(conversation.model)
        return min(int(USABLE * window), window - (asked if isinstance(asked, int) else 0))

    def ratio(self, model: str) -> float:
        """Return what raw estimates for a model are to be multiplied by, going by its bills."""
        return self._ratios.get(model, 1.0)

    def billed(self, model: str, raw: float, tokens: int) -> None:
        """Take note of a bill for what was estimated."""
        if raw > 0 and tokens > 0:
            ratio = min(MAX_RATIO, max(MIN_RATIO, tokens / raw))
            known = self._ratios.get(model, ratio)
            self._ratios[model] = known + _WEIGHT * (ratio - known)

    def refused(self, model: str, raw: float, tokens: int, most: int) -> None:
        """Take note of a refusal: so many tokens are too many, and at most so many are not."""
        self._windows[model] = most
        self._ratios[model] = min(MAX_RATIO, max(MIN_RATIO, tokens / raw)) if raw > 0 else 1.0


def raw_tokens(message: Message) -> float:
    """Return about how many tokens a message has, before any correction."""
    size, tokens = message.span.end - message.span.start, 0.0
    for block in message.blocks:
        if "source" in block or "content" in block:
            data, others = _data_of(block)
            size -= data
            tokens += others
    return tokens + size / BYTES_PER_TOKEN


def _data_of(block: object) -> tuple[int, float]:
    """Return the bytes of the images and documents in a block, and their tokens."""
    if not isinstance(block, dict):
        return 0, 0.0
    source = block.get("source")
    if isinstance(source, dict) and isinstance(data := source.get("data"), str):
        is_image = block.get("type") == "image"
        return len(data), IMAGE_TOKENS if is_image else len(data) / BYTES_PER_DOCUMENT_TOKEN
    content = block.get("content")
    inner = [_data_of(each) for each in content] if isinstance(content, list) else []
    return sum(size for size, _ in inner), sum(tokens for _, tokens in inner)


def with_api_editing(body: bytes, room: int) -> bytes:
    """Return a body that lets the API itself clear old results of tools before `room` tokens are full.

    It clears what it keeps of the conversation, not what was sent, so thinking stays where it is bound.
    """
    edit = {
        "type": "clear_tool_uses_20250919",
        "trigger": {"type": "input_tokens", "value": int(API_TRIGGER * room)},
        "clear_at_least": {"type": "input_tokens", "value": int(API_CLEARED * room)},
    }
    end = body.rindex(b"}")
    return body[:end] + b',"context_management":' + orjson.dumps({"edits": [edit]}) + body[end:]


def raw_overhead(conversation: Conversation) -> float:
    """Return about how many tokens system text, tools and parameters have."""
    messages: Sequence[Message] = conversation.messages
    return (len(conversation.body) - (messages[-1].span.end - messages[0].span.start)) / BYTES_PER_TOKEN
