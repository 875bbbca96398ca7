"""The prompt cache of the Messages API: breakpoints, a look-back of 20 blocks, a least size; no TTL."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tests.loopback.prefix_rule import blocks_of

LOOK_BACK = 20
IMAGE_TOKENS = 1_600


def tokens_of(value: Any) -> int:
    """About four characters of JSON to a token; an image counts as one of its usual size."""
    if isinstance(value, Mapping) and value.get("type") == "image":
        return IMAGE_TOKENS
    return len(json.dumps(value)) // 4 + 1


class PrefixCache:
    """Which prefixes were written, of one workspace."""

    def __init__(self, minimum: int = 1024) -> None:
        """Cache nothing shorter than `minimum` tokens."""
        self.minimum = minimum
        self._written: set[bytes] = set()

    def usage(self, body: Mapping[str, Any]) -> dict[str, int]:
        """The input side of a request's usage; its breakpoints are written."""
        ends, marks = _prefixes(body)
        read = written = 0
        for mark in marks:
            for place in range(mark, max(-1, mark - LOOK_BACK - 1), -1):
                if ends[place][0] in self._written:
                    read = max(read, ends[place][1])
                    break
            if ends[mark][1] >= self.minimum:
                written = max(written, ends[mark][1])
        self._written.update(ends[mark][0] for mark in marks if ends[mark][1] >= self.minimum)
        total = ends[-1][1]
        return {
            "input_tokens": total - max(read, written),
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": max(0, written - read),
        }


def _prefixes(body: Mapping[str, Any]) -> tuple[list[tuple[bytes, int]], list[int]]:
    """Digest and tokens of each prefix that ends with a block, and the blocks with a breakpoint."""
    blocks = [("tools", tool) for tool in body.get("tools", [])]
    blocks += [("system", block) for block in blocks_of(body.get("system", ""))]
    blocks += [(m["role"], block) for m in body["messages"] for block in blocks_of(m["content"])]
    chain, total = hashlib.sha256(str(body.get("model")).encode()), 0
    ends, marks = [], []
    for place, (role, block) in enumerate(blocks):
        bare = {key: value for key, value in block.items() if key != "cache_control"}
        chain.update(
            json.dumps([role, bare]).encode()
        )  # the cache compares bytes, so the order of keys counts
        total += tokens_of(bare)
        ends.append((chain.digest(), total))
        if "cache_control" in block:
            marks.append(place)
    if "cache_control" in body and len(blocks) - 1 not in marks:
        marks.append(len(blocks) - 1)
    return ends, marks
