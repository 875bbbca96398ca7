"""The human turns of a conversation, and digests that find each of them again. Pure.

A digest covers the messages up to a turn, so that branches, retries and sub-agents each find their own. It
leaves out what does not bind: `cache_control`, the shape of a text, and thinking, which clients may drop.
System text and tools are left out too: clients that change them have lost cache and thinking themselves, and
what was inserted should not be lost with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from context_builder.conversation.body import THINKING, Block, Conversation, Message, parse

_DIGITS = 32
_CALLS = frozenset({"tool_use", "server_tool_use"})


def prefix_digests(messages: Sequence[Message]) -> list[str]:
    """Return for each message a digest of all messages up to it, in hexadecimal."""
    chain, digests = b"", []
    for message in messages:
        said = orjson.dumps([message.role, _binding(message.blocks)], option=orjson.OPT_SORT_KEYS)
        chain = hashlib.sha256(chain + said).digest()  # which processors compute; twice as fast as blake2b
        digests.append(chain.hex()[:_DIGITS])
    return digests


def _binding(blocks: Sequence[Block]) -> list[Any]:
    return [
        _plain(block) if "cache_control" in block or "content" in block else block
        for block in blocks
        if block.get("type") not in THINKING
    ]


def _plain(block: Block) -> Block:
    """Return a block without `cache_control`, that of the blocks in a tool's result included."""
    content = block.get("content")
    if isinstance(content, list) and any("cache_control" in b for b in content if isinstance(b, Mapping)):
        block = {**block, "content": [_plain(b) if isinstance(b, Mapping) else b for b in content]}
    if "cache_control" not in block:
        return block
    return {key: value for key, value in block.items() if key != "cache_control"}


def human_turns(messages: Sequence[Message]) -> list[int]:
    """Return the indices of the user's messages that text may follow.

    Not of those with a tool's result: text behind one is taken for the end of the turn. Nor behind a call of
    a server's tool that is unresolved, where only results may come.
    """
    turns = []
    before: Message | None = None
    for index, message in enumerate(messages):
        if message.role == "user" and _is_human(message) and not _waits(before):
            turns.append(index)
        if message.role != "system":
            before = message
    return turns


def _is_human(message: Message) -> bool:
    if message.is_string:
        return True
    return bool(message.blocks) and not any("tool_result" in kind for kind in message.kinds)


def _waits(before: Message | None) -> bool:
    """Return whether the message before is one that a tool's result must follow, or was one itself."""
    if before is None or before.is_string:
        return False
    if before.role == "user":
        return not _is_human(before)
    called = [block for block in before.blocks if block.get("type") in _CALLS]
    answered = {block.get("tool_use_id") for block in before.blocks} if called else set()
    return any(block["type"] == "tool_use" or block.get("id") not in answered for block in called)


@dataclass(frozen=True, slots=True)
class Transcript:
    """A conversation with the digests of its prefixes and the indices of its human turns."""

    conversation: Conversation
    digests: Sequence[str]
    turns: Sequence[int]

    @property
    def messages(self) -> Sequence[Message]:
        """The messages of the conversation."""
        return self.conversation.messages

    @property
    def newest(self) -> int | None:
        """The human turn that the request ends with, None if it ends with anything else."""
        is_last = self.turns and self.turns[-1] == len(self.messages) - 1
        return self.turns[-1] if is_last else None


def read_transcript(body: bytes) -> Transcript | None:
    """Read a body; None if it is not one that may be changed."""
    conversation = parse(body)
    if conversation is None:
        return None
    try:
        digests = prefix_digests(conversation.messages)
    except orjson.JSONEncodeError:  # nested too deeply to be put in order
        return None
    return Transcript(conversation, digests, human_turns(conversation.messages))
