"""An upper bound of the tokens that a text costs, without the tokenizer.

Claude's tokenizers are not public and counting over the network is an estimate and a round trip.
So the bound goes by character class: what tokenizers split finely is counted finely, and nothing costs
more tokens than bytes. Only text made up of words that nobody uses can pass it, by about a fifth.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

_RUN = re.compile(
    r"""
    (?P<word>\ ?[A-Za-z]++(?![0-9]))  # a word takes the space before it along
  | (?P<digits>[0-9]++(?![A-Za-z]))
  | (?P<opaque>[0-9A-Za-z]+)               # ids, hashes, base64: letters and digits mixed
  | (?P<spaces>\ +)
  | (?P<ascii>[\x00-\x7f])                 # punctuation, newlines and control characters, one by one
  | (?P<other>[^\x00-\x7f]+)
    """,
    re.VERBOSE,
)
_PIECE = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[A-Z]")
"""The words of a camelCase word; runs of capitals stay together."""

_VOWELS = frozenset("aeiouyAEIOUY")
_FEWEST_VOWELS = 0.2
"""With a smaller share of vowels a piece is no word but an id."""
_SHORTEST_ID = 3
_SHORTEST_MEAN = 3
"""Where the pieces of a camelCase word are shorter on average, capitals stand there by chance."""
_LETTERS_PER_TOKEN = 3
_CAPITALS_PER_TOKEN = 1.5
_DIGITS_PER_TOKEN = 2
_SPACES_PER_TOKEN = 8

FRAMING_TOKENS = 32
"""What the Messages API adds around one system text and one user message; measured at under 20."""

DEFAULT_FACTOR = 1.3
"""Models from Opus 4.7 on split words finer, and words only: digits, ids and symbols cost what they did."""


@lru_cache(maxsize=4096)  # the words of facts repeat
def _word(run: str, factor: float) -> float:
    letters = run.lstrip(" ")
    pieces = _PIECE.findall(letters)
    if len(pieces) > 1 and len(letters) < _SHORTEST_MEAN * len(pieces):
        return len(letters)
    return sum(_piece(piece, factor) for piece in pieces)


def _piece(letters: str, factor: float) -> float:
    length = len(letters)
    if length >= _SHORTEST_ID and sum(letter in _VOWELS for letter in letters) < _FEWEST_VOWELS * length:
        return length
    per_token = _CAPITALS_PER_TOKEN if letters.isupper() else _LETTERS_PER_TOKEN
    return min(length, factor * max(1, length / per_token))


_COSTS: dict[str, Callable[[str, float], float]] = {
    "word": _word,
    "digits": lambda run, _: math.ceil(len(run) / _DIGITS_PER_TOKEN),
    "opaque": lambda run, _: len(run),
    "spaces": lambda run, _: math.ceil(len(run) / _SPACES_PER_TOKEN),
    "ascii": lambda _, __: 1,
    "other": lambda run, _: len(run.encode("utf-8", "surrogatepass")),
}


@dataclass(frozen=True, slots=True)
class TokenBound:
    """Bounds texts for one model; `factor` says how much finer than others its tokenizer splits words."""

    factor: float = DEFAULT_FACTOR

    def of(self, text: str) -> int:
        """A bound of the tokens in a text; joining texts at a newline never costs more than the sum."""
        total = sum(_COSTS[run.lastgroup or "ascii"](run.group(), self.factor) for run in _RUN.finditer(text))
        # Sums of the same costs in another order differ in the last bits.
        return math.ceil(round(total, 6))
