"""Computes an upper bound of the tokens in a text without the tokenizer.

Claude's tokenizers are not public, and counting over the network is an estimate that costs a round trip.
Therefore the bound is computed by character class: what tokenizers split finely is counted finely, and
nothing counts more tokens than bytes. Common words are listed: public vocabularies contain them whole.

Models differ in common words only. These are the part of a bound that the factor scales linearly, so that the
bound with another factor can be derived from a recorded one.
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
    (?P<word>\ ?{begin}[A-Za-z]++(?![0-9]{end}))  # a word includes the space before it
  | (?P<letters>\ ?[A-Za-z]++(?![0-9]))
  | (?P<digits>[0-9]++(?![A-Za-z]))
  | (?P<opaque>[0-9A-Za-z]+)               # ids, hashes, base64: letters and digits mixed
  | (?P<spaces>\ +)
  | (?P<ascii>[\x00-\x7f])                 # punctuation, newlines and control characters, one by one
  | (?P<other>[^\x00-\x7f]+)
    """
_JOINING = r"[^\x00-\x7f«»‹›“”‘’–—…]"
"""Next to such a character a word may be split differently, or be joined with the next one."""
_RUN = re.compile(_RUNS.format(begin=f"(?<!{_JOINING})", end=f"|{_JOINING}"), re.VERBOSE)
_ASCII_RUN = re.compile(_RUNS.format(begin="", end=""), re.VERBOSE)
"""The same for texts without such characters, twice as fast."""
_PIECE = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[A-Z]")
"""The parts of a camelCase word; a run of capitals is one part."""

_VOWELS = frozenset("aeiouyAEIOUY")
_MIN_VOWELS = 0.2
"""A piece with a smaller share of vowels is treated as an id."""
_MIN_ID = 3
_MIN_MEAN = 3
"""A camelCase word with shorter pieces on average is treated as random letters."""
_LETTERS_PER_TOKEN = 1.9
"""For unlisted words; pronounceable gibberish comes close to it."""
_LISTED_LETTERS_PER_TOKEN = 3
"""For listed words, if the tokenizer splits those as well."""
_MIN_PER_PIECE = 1.3
_CAPITALS_PER_TOKEN = 1.15
_DIGITS_PER_TOKEN = 2
_SPACES_PER_TOKEN = 8
_MIN_PER_CHARACTER = 0.39
"""Minimum of anything but listed words: an unlisted word of three letters after a space."""

FRAMING_TOKENS = 32
"""Overhead of the Messages API for one system text and one user message; measured at under 20."""

DEFAULT_FACTOR = 1.3
"""Models from Opus 4.7 on split words, and only words, more finely than earlier ones."""
MIN_FACTOR, MAX_FACTOR = 1.0, 2.0
"""Above the maximum a word of two letters would count more tokens than bytes."""

RULE = 2
"""Version of the counting rules; increase it whenever any bound changes, since recorded bounds persist."""


_MAX_LINES = 4_096
"""Lines whose cost is remembered: many facts are the same in the next tick."""


def _listed(path: Path) -> dict[str, int]:
    """Load the listed words with the token count of each after anything but a space."""
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


@lru_cache(maxsize=_MAX_LINES)
def _line_cost(line: str, factor: float, whole: bool) -> float:
    """Return the cost of a line; no run of characters goes beyond it."""
    return sum(_COSTS[run.lastgroup or "ascii"](run.group(), factor, whole) for run in _runs(line))


@lru_cache(maxsize=_MAX_LINES)
def _line_words(line: str, whole: bool) -> float:
    """Return the increase of a line's cost per unit of the factor."""
    return sum(
        _word(run.group(), MAX_FACTOR, whole) - _word(run.group(), MIN_FACTOR, whole)
        for run in _runs(line)
        if run.lastgroup == "word"
    ) / (MAX_FACTOR - MIN_FACTOR)


@dataclass(frozen=True, slots=True)
class BoundTerms:
    """The terms of a prompt's bound, from which its value with another factor follows."""

    rule: int
    """The value of RULE at that time."""
    whole_words: bool
    factor: float
    words: float
    """Increase of the bound per unit of the factor, in tokens."""


@dataclass(frozen=True, slots=True)
class TokenBound:
    """The token bound for one model."""

    factor: float = DEFAULT_FACTOR
    """Multiplier for common words, from MIN_FACTOR to MAX_FACTOR."""
    whole_words: bool = False
    """True if common words are single tokens; otherwise they are counted by their letters."""

    @classmethod
    def for_model(cls, model: str | None) -> TokenBound:
        """Return the bound for a model from `tokenizers.toml`; for an unknown one the most conservative."""
        return _MODELS.get(_family(model or ""), _UNKNOWN)

    def with_factor(self, factor: float) -> TokenBound:
        """Return the same bound with another factor."""
        return replace(self, factor=factor)

    @property
    def min_tokens_per_character(self) -> float:
        """Minimum for texts without runs of spaces; a text that is too long by it need not be counted."""
        cheapest = _MAX_LISTED if self.whole_words else _LISTED_LETTERS_PER_TOKEN
        return min(_MIN_PER_CHARACTER, self.factor / (cheapest + 1))

    def of(self, text: str) -> int:
        """Return an upper bound of the tokens in a text; texts joined at a newline never exceed their sum."""
        lines = text.split("\n")
        total = sum(_line_cost(line, self.factor, self.whole_words) for line in lines)
        # The sum of the same costs in another order differs in the last bits.
        return math.ceil(round(total + len(lines) - 1, 6))

    def terms(self, *texts: str) -> BoundTerms:
        """Return the terms of the sum of these texts' bounds."""
        words = sum(_line_words(line, self.whole_words) for text in texts for line in text.split("\n"))
        return BoundTerms(RULE, self.whole_words, self.factor, round(words, 3))


def _family(model: str) -> str:
    """Return the longest listed name that equals the model's name or is a prefix of it at a separator."""
    ends = (end for end in range(len(model), 0, -1) if end == len(model) or model[end] in "-@.")
    return next((model[:end] for end in ends if model[:end] in _MODELS), "")


def _bound(entry: dict[str, Any]) -> TokenBound:
    return TokenBound(entry["factor"], entry["whole_words"])


_TABLE = tomllib.loads(Path(__file__).with_name("tokenizers.toml").read_text("utf-8"))
_UNKNOWN = _bound(_TABLE["unknown"])
_MODELS = {name: _bound(entry) for name, entry in _TABLE["models"].items()}
