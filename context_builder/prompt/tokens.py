"""An upper bound of the tokens that a text costs, without the tokenizer.

Claude's tokenizers are not public and counting over the network is an estimate and a round trip.
So the bound goes by character class: what tokenizers split finely is counted finely, and nothing costs
more tokens than bytes. Common words are listed: public vocabularies hold each of them whole.

From model to model only common words differ. They are the part of a bound that the factor scales, and it
scales them linearly, so that a recorded bound tells what it would have been with another factor.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

_RUNS = r"""
    (?P<word>\ ?{begin}[A-Za-z]++(?![0-9]{end}))  # a word takes the space before it along
  | (?P<letters>\ ?[A-Za-z]++(?![0-9]))
  | (?P<digits>[0-9]++(?![A-Za-z]))
  | (?P<opaque>[0-9A-Za-z]+)               # ids, hashes, base64: letters and digits mixed
  | (?P<spaces>\ +)
  | (?P<ascii>[\x00-\x7f])                 # punctuation, newlines and control characters, one by one
  | (?P<other>[^\x00-\x7f]+)
    """
_JOINING = r"[^\x00-\x7f«»‹›“”‘’–—…]"
"""Beside such a character a word may be split elsewhere than by itself, or be joined with the next one."""
_RUN = re.compile(_RUNS.format(begin=f"(?<!{_JOINING})", end=f"|{_JOINING}"), re.VERBOSE)
_ASCII_RUN = re.compile(_RUNS.format(begin="", end=""), re.VERBOSE)
"""The same for a text without such characters, in half the time."""
_PIECE = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[A-Z]")
"""The words of a camelCase word; runs of capitals stay together."""

_VOWELS = frozenset("aeiouyAEIOUY")
_MIN_VOWELS = 0.2
"""With a smaller share of vowels a piece is no word but an id."""
_MIN_ID = 3
_MIN_MEAN = 3
"""Where the pieces of a camelCase word are shorter on average, capitals stand there by chance."""
_LETTERS_PER_TOKEN = 1.9
"""Of a word that is not listed; pronounceable gibberish comes close to it."""
_LISTED_LETTERS_PER_TOKEN = 3
"""Of a listed word, where the tokenizer splits those as well."""
_MIN_PER_PIECE = 1.3
_CAPITALS_PER_TOKEN = 1.15
_DIGITS_PER_TOKEN = 2
_SPACES_PER_TOKEN = 8
_MIN_PER_CHARACTER = 0.39
"""Of anything but listed words: an unlisted word of three letters behind a space."""

FRAMING_TOKENS = 32
"""What the Messages API adds around one system text and one user message; measured at under 20."""

DEFAULT_FACTOR = 1.3
"""Models from Opus 4.7 on split words finer, and words only: digits, ids and symbols cost what they did."""
MIN_FACTOR, MAX_FACTOR = 1.0, 2.0
"""Above the upper one a word of two letters would cost more tokens than bytes."""

RULE = 2
"""The version of this way of counting. Raise it whenever any bound changes: recorded bounds outlive it."""


def _listed(path: Path) -> dict[str, int]:
    """By word, the tokens that it costs behind anything but a space."""
    lines = (line for line in path.read_text("ascii").splitlines() if not line.startswith("#"))
    return {line.removesuffix("*"): 1 if line.endswith("*") else 2 for line in lines}


_LISTED = _listed(Path(__file__).with_name("whole_words.txt"))
_MAX_LISTED = max(map(len, _LISTED))


@lru_cache(maxsize=4096)  # the words of facts repeat
def _word(run: str, factor: float, whole: bool) -> float:
    letters = run.lstrip(" ")
    if letters in _LISTED:
        tokens = 1 if run != letters else _LISTED[letters]
        if len(letters) < MAX_FACTOR * tokens:
            return len(letters)
        return factor * (tokens if whole else max(1, len(letters) / _LISTED_LETTERS_PER_TOKEN))
    return _letters(letters)


@lru_cache(maxsize=4096)
def _letters(run: str) -> float:
    letters = run.lstrip(" ")
    pieces = _PIECE.findall(letters)
    if len(pieces) > 1 and len(letters) < _MIN_MEAN * len(pieces):
        return len(letters)
    return sum(map(_piece, pieces))


def _piece(letters: str) -> float:
    length = len(letters)
    if length >= _MIN_ID and sum(letter in _VOWELS for letter in letters) < _MIN_VOWELS * length:
        return length
    per_token = _CAPITALS_PER_TOKEN if letters.isupper() else _LETTERS_PER_TOKEN
    return min(length, max(_MIN_PER_PIECE, length / per_token))


def _runs(text: str) -> Iterator[re.Match[str]]:
    return (_ASCII_RUN if text.isascii() else _RUN).finditer(text)


_COSTS: dict[str, Callable[[str, float, bool], float]] = {
    "word": _word,
    "letters": lambda run, _, __: _letters(run),
    "digits": lambda run, _, __: math.ceil(len(run) / _DIGITS_PER_TOKEN),
    "opaque": lambda run, _, __: len(run),
    "spaces": lambda run, _, __: math.ceil(len(run) / _SPACES_PER_TOKEN),
    "ascii": lambda _, __, ___: 1,
    "other": lambda run, _, __: len(run.encode("utf-8", "surrogatepass")),
}


@dataclass(frozen=True, slots=True)
class BoundTerms:
    """How the bound of a prompt came about, to tell what it would have been with another factor."""

    rule: int
    """RULE at that time."""
    whole_words: bool
    factor: float
    words: float
    """Tokens that the bound grows by when the factor grows by one."""


@dataclass(frozen=True, slots=True)
class TokenBound:
    """Bounds texts for one model."""

    factor: float = DEFAULT_FACTOR
    """What common words cost, as a multiple, from MIN_FACTOR to MAX_FACTOR."""
    whole_words: bool = False
    """Whether the tokenizer holds common words whole; else they go by their letters."""

    @classmethod
    def for_model(cls, model: str | None) -> TokenBound:
        """The bound for a model's tokenizer, from `tokenizers.toml`; the most careful one for an unknown."""
        return _MODELS.get(_family(model or ""), _UNKNOWN)

    def with_factor(self, factor: float) -> TokenBound:
        """The same way of counting with another factor."""
        return replace(self, factor=factor)

    @property
    def least_per_character(self) -> float:
        """No text without runs of spaces costs fewer tokens: what is too long need not be counted."""
        cheapest = _MAX_LISTED if self.whole_words else _LISTED_LETTERS_PER_TOKEN
        return min(_MIN_PER_CHARACTER, self.factor / (cheapest + 1))

    def of(self, text: str) -> int:
        """A bound of the tokens in a text; joining texts at a newline never costs more than the sum."""
        factor, whole = self.factor, self.whole_words
        total = sum(_COSTS[run.lastgroup or "ascii"](run.group(), factor, whole) for run in _runs(text))
        # Sums of the same costs in another order differ in the last bits.
        return math.ceil(round(total, 6))

    def terms(self, *texts: str) -> BoundTerms:
        """How the bounds of these texts, added up, come about."""
        words = sum(map(self._words, texts))
        return BoundTerms(RULE, self.whole_words, self.factor, round(words, 3))

    def _words(self, text: str) -> float:
        return sum(
            _word(run.group(), MAX_FACTOR, self.whole_words)
            - _word(run.group(), MIN_FACTOR, self.whole_words)
            for run in _runs(text)
            if run.lastgroup == "word"
        ) / (MAX_FACTOR - MIN_FACTOR)


def _family(model: str) -> str:
    """The longest name in the table that the model's name is or goes on from."""
    ends = (end for end in range(len(model), 0, -1) if end == len(model) or model[end] in "-@.")
    return next((model[:end] for end in ends if model[:end] in _MODELS), "")


def _bound(entry: dict[str, Any]) -> TokenBound:
    return TokenBound(entry["factor"], entry["whole_words"])


_TABLE = tomllib.loads(Path(__file__).with_name("tokenizers.toml").read_text("utf-8"))
_UNKNOWN = _bound(_TABLE["unknown"])
_MODELS = {name: _bound(entry) for name, entry in _TABLE["models"].items()}
