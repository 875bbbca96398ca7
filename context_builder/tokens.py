"""An upper bound of the tokens that a text costs, without the tokenizer.

Claude's tokenizers are not public and counting over the network is an estimate and a round trip.
So the bound goes by character class: what tokenizers split finely is counted finely.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

_RUN = re.compile(
    r"""
    (?P<word>\ ?[A-Za-z]+(?![0-9A-Za-z_]))  # a word takes the space before it along
  | (?P<digits>[0-9]+(?![A-Za-z_]))
  | (?P<opaque>[0-9A-Za-z_]+)               # ids, hashes, base64: letters and digits mixed
  | (?P<newline>\n)
  | (?P<spaces>[\ \t]+)
  | (?P<ascii>[\x00-\x7f])                  # punctuation and control characters, one by one
  | (?P<other>[^\x00-\x7f]+)
    """,
    re.VERBOSE,
)
_VOWELS = frozenset("aeiouyAEIOUY")
_OPAQUE_PER_CHARACTER = 0.75
_LETTERS_PER_TOKEN = 4
_CAPITALS_PER_TOKEN = 2
_DIGITS_PER_TOKEN = 2
_SHORTEST_OPAQUE = 3
_SPACES_PER_TOKEN = 8

FRAMING_TOKENS = 32
"""What the Messages API adds around one system text and one user message; measured at under 20."""

DEFAULT_FACTOR = 1.3
"""Models from Opus 4.7 on use a tokenizer that makes up to this much more of prose."""


def _word(run: str) -> int:
    letters = run.lstrip(" ")
    if len(letters) >= _SHORTEST_OPAQUE and _VOWELS.isdisjoint(letters):
        return _opaque(letters)
    return math.ceil(len(letters) / (_CAPITALS_PER_TOKEN if letters.isupper() else _LETTERS_PER_TOKEN))


def _opaque(run: str) -> int:
    return math.ceil(len(run) * _OPAQUE_PER_CHARACTER)


def _bytes(run: str) -> int:
    """A byte-level vocabulary never takes more tokens than bytes."""
    return len(run.encode("utf-8", "surrogatepass"))


_COSTS: dict[str, Callable[[str], int]] = {
    "word": _word,
    "digits": lambda run: math.ceil(len(run) / _DIGITS_PER_TOKEN),
    "opaque": _opaque,
    "newline": len,
    "spaces": lambda run: math.ceil(len(run) / _SPACES_PER_TOKEN),
    "ascii": len,
    "other": _bytes,
}


@dataclass(frozen=True, slots=True)
class TokenBound:
    """Bounds texts for one model; `factor` scales a class count to that model's tokenizer."""

    factor: float = DEFAULT_FACTOR

    def of(self, text: str) -> int:
        """A bound of the tokens in a text; joining texts at a newline never costs more than the sum."""
        return math.ceil(
            self.factor
            * sum(_COSTS[match.lastgroup or "ascii"](match.group()) for match in _RUN.finditer(text))
        )
