"""The prefix rule of thinking blocks, and the rules of a conversation, as the Messages API checks them.

A signature is bound to the system text, the tools and every earlier message, thinking and `cache_control`
aside; thinking may be left out as an unbroken run from the start. Nothing is kept: the signature says it all.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.loopback.wire import ApiError

DROP_BETA = "thinking-binding-controls-2026-08-01"
THINKING = ("thinking", "redacted_thinking")
_MISMATCH = (
    "messages.{}.content.{}: Invalid `signature` in `thinking` block. The block is bound to a different "
    "conversation. Remove the block, or set `thinking.block_binding.prefix_mismatch_behavior` to "
    '"drop_block".'
)

Block = Mapping[str, Any]


def blocks_of(content: Any) -> list[Block]:
    """The blocks of a content field; a string is one block of text."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def plain(value: Any) -> Any:
    """A value as the thinking check and the cache see it: without `cache_control`, keys in any order."""
    if isinstance(value, Mapping):
        return {key: plain(value[key]) for key in sorted(value) if key != "cache_control"}
    return [plain(each) for each in value] if isinstance(value, list) else value


def digest(*values: Any) -> str:
    return hashlib.sha256(json.dumps(values, ensure_ascii=True).encode()).hexdigest()[:24]


class Prefix:
    """What has been said up to a message: everything but thinking, and which thinking there was."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._chain = digest(plain(blocks_of(body.get("system", ""))), plain(body.get("tools", [])))
        self._thought: list[str] = []

    def add(self, message: Block) -> None:
        """Go on behind a message."""
        blocks = blocks_of(message["content"])
        said = [plain(block) for block in blocks if block.get("type") not in THINKING]
        self._chain = digest(self._chain, message["role"], said)
        self._thought += [_name(block) for block in blocks if block.get("type") in THINKING]

    def sign(self, text: str) -> dict[str, str]:
        """A thinking block that is bound to what has been said."""
        claim = json.dumps([self._chain, self._thought, digest(text)]).encode()
        return {"type": "thinking", "thinking": text, "signature": base64.b64encode(claim).decode()}

    def holds(self, block: Block) -> bool:
        """Whether a thinking block was made for what has been said."""
        try:
            chain, thought, text = json.loads(
                base64.b64decode(block.get("signature") or block.get("data", ""))
            )
        except ValueError:
            return False
        whole = block["type"] == "redacted_thinking" or text == digest(block["thinking"])
        kept = thought[len(thought) - len(self._thought) :]
        return bool(whole and chain == self._chain and kept == self._thought)


def _name(block: Block) -> str:
    return digest(block.get("signature") or block.get("data"))


def checked_thinking(body: Mapping[str, Any], beta: str = "") -> list[Block]:
    """The messages that the model sees; raises ApiError where a thinking block belongs elsewhere."""
    binding = (body.get("thinking") or {}).get("block_binding")
    if binding is not None and DROP_BETA not in beta:
        raise ApiError(400, "thinking.block_binding: Extra inputs are not permitted")
    drops = (binding or {}).get("prefix_mismatch_behavior") == "drop_block"
    prefix = Prefix(body)
    seen: list[Block] = []
    for index, message in enumerate(body["messages"]):
        kept = []
        for place, block in enumerate(blocks_of(message["content"])):
            if block.get("type") in THINKING and not prefix.holds(block):
                if not drops:
                    raise ApiError(400, _MISMATCH.format(index, place))
                continue
            kept.append(block)
        prefix.add(message)
        seen.append({**message, "content": kept})
    return seen


def check_conversation(body: Mapping[str, Any]) -> None:
    """Raise ApiError for what the API refuses in a conversation: roles, empty content, pairs of tools."""
    messages = body["messages"]
    if not messages or messages[0]["role"] != "user":
        raise ApiError(400, 'messages: first message must use the "user" role')
    if messages[-1]["role"] == "assistant":
        raise ApiError(400, "This model does not support assistant message prefill.")
    marked = sum("cache_control" in block for block in _marked(body)) + ("cache_control" in body)
    if marked > 4:
        raise ApiError(400, f"A maximum of 4 blocks with cache_control may be provided. Found {marked}.")
    called: set[str] = set()
    for index, message in enumerate(messages):
        blocks = blocks_of(message["content"])
        _check_filled(index, blocks)
        if message["role"] != "system":
            _check_results(index, blocks, called)
            called = {block["id"] for block in blocks if block.get("type") == "tool_use"}
    _check_server_tools([block for message in messages for block in blocks_of(message["content"])])


def _check_results(index: int, blocks: Sequence[Block], called: set[str]) -> None:
    """Raise ApiError unless the results of all tools called just before, and no others, come first."""
    results = [block["tool_use_id"] for block in blocks if block.get("type") == "tool_result"]
    if missing := called - set(results):
        raise ApiError(
            400,
            f"messages.{index - 1}: `tool_use` ids were found without `tool_result` blocks immediately "
            f"after: {', '.join(sorted(missing))}.",
        )
    if stray := set(results) - called:
        raise ApiError(
            400,
            f"messages.{index}.content: unexpected `tool_use_id` found in `tool_result` blocks: "
            f"{', '.join(sorted(stray))}.",
        )
    if [block.get("type") for block in blocks[: len(results)]] != ["tool_result"] * len(results):
        raise ApiError(400, f"messages.{index}: `tool_result` blocks must come first")


def _check_filled(index: int, blocks: Sequence[Block]) -> None:
    if not blocks or any(b.get("type") == "text" and not b["text"].strip() for b in blocks):
        raise ApiError(400, f"messages.{index}: text content blocks must be non-empty")


def _check_server_tools(blocks: Sequence[Block]) -> None:
    """Raise ApiError for the result of a server's tool that is not called in what is left."""
    called = {block["id"] for block in blocks if block.get("type") == "server_tool_use"}
    ids = (str(block.get("tool_use_id", "")) for block in blocks)
    if {each for each in ids if each.startswith("srvtoolu_")} - called:
        raise ApiError(400, "messages: unexpected `tool_use_id` found in server tool results")


def _marked(body: Mapping[str, Any]) -> Iterator[Block]:
    """Every block that may bear a breakpoint."""
    yield from (tool for tool in body.get("tools", []))
    yield from (block for block in blocks_of(body.get("system", "")))
    for message in body["messages"]:
        yield from blocks_of(message["content"])
