"""An upper bound of the tokens that a text costs, without the tokenizer.

Claude's tokenizers are not public and counting over the network is an estimate and a round trip.
So the bound goes by character class: what tokenizers split finely is counted finely.
"""

from __future__ import annotations

import math
import re
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
_LOWER_VOWELS = frozenset("aeiouyAEIOUY")
_OPAQUE_PER_CHARACTER = 0.75
_LETTERS_PER_TOKEN = 4
_DIGITS_PER_TOKEN = 2
_SPACES_PER_TOKEN = 8

FRAMING_TOKENS = 32
"""What the Messages API adds around one system text and one user message; measured at under 20."""

DEFAULT_FACTOR = 1.3
"""Models from Opus 4.7 on use a tokenizer that makes up to this much more of prose."""


def _cost(kind: str, run: str) -> float:
    length = len(run)
    match kind:
        case "word":
            letters = run.lstrip(" ")
            if len(letters) > 2 and _LOWER_VOWELS.isdisjoint(letters):
                return math.ceil(len(letters) * _OPAQUE_PER_CHARACTER)
            return math.ceil(len(letters) / _LETTERS_PER_TOKEN)
        case "digits":
            return math.ceil(length / _DIGITS_PER_TOKEN)
        case "opaque":
            return math.ceil(length * _OPAQUE_PER_CHARACTER)
        case "spaces":
            return math.ceil(length / _SPACES_PER_TOKEN)
        case "other":
            # A byte-level vocabulary never takes more tokens than bytes.
            return len(run.encode("utf-8", "surrogatepass"))
        case _:
            return 1


@dataclass(frozen=True, slots=True)
class TokenBound:
    """Bounds texts for one model; `factor` scales a class count to that model's tokenizer."""

    factor: float = DEFAULT_FACTOR

    def of(self, text: str) -> int:
        """A bound of the tokens in a text; joining texts at a newline never costs more than the sum."""
        classes = sum(_cost(match.lastgroup or "", match.group()) for match in _RUN.finditer(text))
        return min(math.ceil(classes * self.factor), len(text.encode("utf-8", "surrogatepass")))
