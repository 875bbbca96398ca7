"""Ordinary lines of a gateway's history, drawn by rule: what a redaction must leave alone."""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.evaluation.trust.planted_secrets import ALNUM, HEX, LOWER, UPPER, URL_SAFE, Draw, b64, some, uuid

_TABLE = tomllib.loads(Path(__file__).with_name("ordinary.toml").read_text("utf-8"))
_PART = re.compile(r"\{(uuid|word|n|id|base64-(\d+)|([a-z]+)(\d+))\}")
_ALPHABETS = {
    "hex": HEX,
    "upper": UPPER,
    "lower": LOWER,
    "alnum": ALNUM,
    "url": URL_SAFE,
    "any": f"{ALNUM}-_./",
}
_WORDS = ("gateway", "router", "checkout", "billing", "premium", "cache", "session", "deploy", "token", "key")


def ordinary(seed: int, per_kind: int = 300) -> Iterator[tuple[str, str]]:
    """Yield kinds and lines."""
    draw = random.Random(seed)  # noqa: S311  test data
    for kind, line in _TABLE["lines"].items():
        for _ in range(per_kind):
            yield kind, _PART.sub(lambda part: _drawn(draw, part), line)
    for line in _TABLE["said"]["said-of-keys"]:
        yield "said-of-keys", line


def _drawn(draw: Draw, part: re.Match[str]) -> str:
    match part[1]:
        case "uuid":
            return uuid(draw)
        case "word":
            return draw.choice(_WORDS)
        case "n":
            return str(draw.randrange(10_000))
        case "id":
            return str(draw.randrange(10**11, 10**18))
    return b64(draw, int(part[2])) if part[2] else some(draw, _ALPHABETS[part[3]], int(part[4]))
