"""A client of the Messages API that keeps its own conversation and knows nothing of what is inserted.

Like real ones it writes the same messages in other shapes from request to request: a text as a string or a
list, breakpoints that move, other spacing and escapes.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Mapping
from typing import Any

MARK = {"cache_control": {"type": "ephemeral"}}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
UNKNOWN = {"type": "hologram_v9", "depth": 1.0, "id": 9007199254740993, "parts": [{"text": ']}"«'}]}
TOOLS = [{"name": "Bash", "description": "Runs a command.", "input_schema": {"type": "object"}}]


class ChatClient:
    """One conversation; `request` writes it as the next request."""

    def __init__(self, chance: random.Random, *, model: str = "claude-opus-5-5", marks: int = 4) -> None:
        """Begin a conversation, with so many breakpoints."""
        self.chance = chance
        self.marks = marks
        self.spacings = [(",", ":"), (", ", ": "), (" ,\n", " : ")]
        self.fields: dict[str, Any] = {
            "model": model,
            "max_tokens": 1024,
            "temperature_hint": 1.0,
            "thinking": {"type": "adaptive"},
            "system": [
                {"type": "text", "text": "x-billing: v1"},
                {"type": "text", "text": "You are an agent."},
            ],
            "tools": TOOLS,
        }
        self.messages: list[dict[str, Any]] = []

    def says(self, text: str) -> None:
        """Add a human turn."""
        content: Any = [{"type": "text", "text": text}]
        if self.chance.random() < 0.3:
            content.insert(0, copy.deepcopy(self.chance.choice([IMAGE, UNKNOWN])))
        self.messages.append({"role": "user", "content": content})

    def takes(self, reply: Mapping[str, Any]) -> bool:
        """Add a reply, and the results of the tools it calls; return whether it called any."""
        self.messages.append({"role": "assistant", "content": copy.deepcopy(reply["content"])})
        calls = [block for block in reply["content"] if block["type"] == "tool_use"]
        if calls:
            results = [
                {"type": "tool_result", "tool_use_id": call["id"], "content": f"output of {call['id']} " * 5}
                for call in calls
            ]
            self.messages.append({"role": "user", "content": results})
        return bool(calls)

    def fork(self, messages: int) -> ChatClient:
        """Return another client that goes on from the first messages."""
        other = copy.copy(self)
        other.messages = copy.deepcopy(self.messages[:messages])
        return other

    def request(self) -> bytes:
        """Write the request, in one of the shapes that mean the same."""
        messages = copy.deepcopy(self.messages)
        self._mark(messages)
        for message in messages:
            blocks = message["content"]
            is_plain = len(blocks) == 1 and set(blocks[0]) == {"type", "text"}
            if is_plain and self.chance.random() < 0.5:
                message["content"] = blocks[0]["text"]
            if self.chance.random() < 0.3:
                message["content"] = message.pop("content")
                message["role"] = message.pop("role")
        separators = self.chance.choice(self.spacings)
        body = {**self.fields, "messages": messages}
        if self.chance.random() < 0.5:
            body = {"messages": body.pop("messages"), **body}
        return json.dumps(body, ensure_ascii=self.chance.random() < 0.5, separators=separators).encode()

    def _mark(self, messages: list[dict[str, Any]]) -> None:
        """Put breakpoints on the newest messages of the user, as agents do."""
        ends = (
            [m["content"][-1] for m in messages if m["role"] == "user"][-self.marks :] if self.marks else []
        )
        for block in ends:
            block.update(MARK)


def agent_reply(chance: random.Random, tools: int) -> list[dict[str, Any]]:
    """A reply that says something and calls so many tools at once."""
    text = {
        "type": "text",
        "text": chance.choice(["I see.", "Let me look “there”.", "Ready \u00e9\U0001f600"]),
    }
    calls = [
        {"type": "tool_use", "id": f"toolu_{chance.getrandbits(60):015x}", "name": "Bash", "input": {"n": n}}
        for n in range(tools)
    ]
    return [text, *calls]
